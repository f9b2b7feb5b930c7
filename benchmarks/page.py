"""Time to the first figure of a report and its size, beside a page as plotly writes it.

Both hold 50,000 points in 20 figures and plotly itself. Ours draws a figure when it comes into view, the
other one every figure as it loads. Chromium opens each in turn, afresh.

Run: python benchmarks/page.py [ROUNDS]
"""

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright
from test_harness import rows, run_of

from linbench.report.page import render

ROWS = 5040
FIGURES, LINES, POINTS = 20, 10, 250
FLAGS = ["--no-sandbox", "--disable-gpu"]
PARTS = {"output_bytes": 2**19, "saved_bytes": 0, "workspace_bytes": 2**19, "state_bytes": 2**14}
# When the first figure was painted, and when the page had loaded; ours is shown where its figures are.
WATCH = """
addEventListener("DOMContentLoaded", () => document.getElementById("figures")?.scrollIntoView());
window.firstFigure = new Promise((resolve) => {
  new MutationObserver((_, observer) => {
    if (!document.querySelector(".main-svg .point")) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now())));
  }).observe(document, { childList: true, subtree: true });
});
"""


def ours():
    """Return a report of 5,040 rows: two panels of ten figures each."""
    found = [
        replace(
            row,
            case=replace(row.case, mode="decode" if row.case.mode == "fwd_bwd" else "fwd"),
            memory=replace(row.memory, **PARTS),
        )
        for row in rows(ROWS)
    ]
    return render(run_of(found))


def plain():
    """Return a page of as many points as plotly.io writes it."""
    from plotly import graph_objects, io

    xs = [64 * (number + 1) for number in range(POINTS)]
    parts = []
    for number in range(FIGURES):
        figure = graph_objects.Figure()
        for line in range(LINES):
            ys = [1e-6 * x * (1 + line) for x in xs]
            band = {"type": "data", "array": [y / 10 for y in ys]}
            figure.add_scatter(x=xs, y=ys, error_y=band, mode="lines+markers", name=f"linear/{line}")
        figure.update_xaxes(type="log")
        figure.update_yaxes(type="log")
        parts.append(io.to_html(figure, full_html=False, include_plotlyjs=number == 0))
    return f"<!DOCTYPE html><html><body>{''.join(parts)}</body></html>"


def open_page(browser, path):
    """Return the seconds until the first figure was painted, and until the page had loaded."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(path.as_uri(), timeout=120_000)
    first = page.evaluate("firstFigure")
    loaded = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    context.close()
    return first / 1000, loaded / 1000


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    pages = {"linbench report": ours(), "plotly.io.to_html": plain()}
    taken = {name: [] for name in pages}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for number, html in enumerate(pages.values()):
            (Path(folder) / f"{number}.html").write_text(html, encoding="utf-8")
        for _ in range(rounds):  # in turns, so that drift meets both alike
            for number, name in enumerate(pages):
                taken[name].append(open_page(browser, Path(folder) / f"{number}.html"))
        browser.close()
    print(f"{'page':<20} {'MB':>6} {'first figure s':>15} {'of peer':>8} {'loaded s':>9} {'of peer':>8}")
    peer = taken["plotly.io.to_html"]
    for name, html in pages.items():
        first, loaded = (median(times) for times in zip(*taken[name], strict=True))
        pairs = zip(taken[name], peer, strict=True)
        ratios = [[mine / other for mine, other in zip(*pair, strict=True)] for pair in pairs]
        of_first, of_loaded = (median(column) for column in zip(*ratios, strict=True))
        size = len(html.encode()) / 1e6
        print(f"{name:<20} {size:>6.1f} {first:>15.2f} {of_first:>8.2f} {loaded:>9.2f} {of_loaded:>8.2f}")


if __name__ == "__main__":
    main()
