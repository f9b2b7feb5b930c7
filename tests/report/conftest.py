import base64
import shutil
from dataclasses import dataclass, field

import pytest
import synthetic
from programs import missing

from linbench.report.page import render

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
COUNT_COLOURS = """async (source) => {
    const image = new Image();
    image.src = source;
    await image.decode();
    const canvas = document.createElement('canvas');
    Object.assign(canvas, {width: image.width, height: image.height});
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    return new Set(new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer)).size;
}"""


@pytest.fixture(scope="session")
def browser():
    executable = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if executable is None:
        missing(f"none of {', '.join(BROWSERS)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield instance
        instance.close()


@dataclass
class OpenPage:
    """A page in a browser, with its console messages, errors and network requests."""

    page: object
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def figure(self, name):
        """Scroll to a figure, wait until it is drawn and return its plotly traces."""
        self.page.locator(f"#figure-{name}").scroll_into_view_if_needed()
        self.settle(name)
        self.page.wait_for_selector(f"#figure-{name} .main-svg", state="attached")
        return self.page.evaluate(
            "name => document.querySelector(`#figure-${name} .plot`).data.map(({name, x, y, yaxis, marker, "
            "hovertext, error_y}) => ({name, x, y, yaxis, marker, hovertext, error_y}))",
            name,
        )

    def settle(self, name):
        """Wait until a figure is up to date."""
        self.page.wait_for_selector(f"#figure-{name}:not([aria-busy])")

    def colours(self, name):
        """Return how many distinct colours a screenshot of a figure has."""
        picture = self.page.locator(f"#figure-{name} .plot").screenshot()
        blank = self.page.context.new_page()
        number = blank.evaluate(COUNT_COLOURS, "data:image/png;base64," + base64.b64encode(picture).decode())
        blank.close()
        return number

    def choose(self, setting, value):
        self.page.select_option(f"[data-setting='{setting}']", value)

    def rows(self):
        """Return the texts of all rows of the table, from all pages."""
        texts = []
        while True:
            texts += self.page.locator("#table tbody tr").all_inner_texts()
            if self.page.locator("#next").is_disabled():
                return texts
            self.page.click("#next")


@pytest.fixture(scope="module")
def open_page(browser, tmp_path_factory):
    """Open HTML in a fresh context of the browser."""
    contexts = []

    def report_page(html, width=1280, scheme="light"):
        path = tmp_path_factory.mktemp("page") / "report.html"
        path.write_text(html, encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        result = OpenPage(context.new_page())
        result.page.on("console", lambda message: result.messages.append(f"{message.type}: {message.text}"))
        result.page.on("pageerror", lambda error: result.messages.append(str(error)))
        result.page.on("request", lambda request: result.requests.append(request.url))
        result.page.add_init_script(
            "addEventListener('securitypolicyviolation', "
            "event => console.error(`${event.violatedDirective} ${event.blockedURI}`))"
        )
        result.page.goto(path.as_uri())
        result.page.wait_for_selector("html[data-ready]", state="attached")
        return result

    yield report_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def run():
    return synthetic.realistic()


@pytest.fixture(scope="session")
def html(run):
    return render(run)
