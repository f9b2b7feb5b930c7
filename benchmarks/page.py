"""Size of a report and time to its first figure, compared with a page that plotly writes.

Both pages contain 50,000 points in 20 figures and plotly itself. The report draws a figure when it scrolls
into view, plotly's page draws all figures on load. Chromium opens the pages in turn, each in a new context.

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
# Resolves when the first figure is painted; the report is scrolled to its figures.
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


def linbench_page():
    """Return a report of 5,040 rows: two panels of ten figures each."""
    report_rows = [
        replace(
            row,
            case=replace(row.case, mode="decode" if row.case.mode == "fwd_bwd" else "fwd"),
            memory=replace(row.memory, **PARTS),
        )
        for row in rows(ROWS)
    ]
    return render(run_of(report_rows))


def plotly_page():
    """Return a page with the same number of points, as plotly.io writes it."""
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
    """Return the times until the first figure is painted and until the page is loaded, seconds."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(path.as_uri(), timeout=120_000)
    first_ms = page.evaluate("firstFigure")
    load_ms = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    context.close()
    return first_ms / 1000, load_ms / 1000


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    pages = {"linbench report": linbench_page(), "plotly.io.to_html": plotly_page()}
    times_s = {name: [] for name in pages}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for number, html in enumerate(pages.values()):
            (Path(folder) / f"{number}.html").write_text(html, encoding="utf-8")
        for _ in range(rounds):  # in turns, so that drift affects both pages equally
            for number, name in enumerate(pages):
                times_s[name].append(open_page(browser, Path(folder) / f"{number}.html"))
        browser.close()
    header = ("page", "MB", "first figure s", "/ plotly", "loaded s", "/ plotly")
    print("{:<20} {:>6} {:>15} {:>8} {:>9} {:>8}".format(*header))
    plotly_s = times_s["plotly.io.to_html"]
    for name, html in pages.items():
        first_s, load_s = (median(column) for column in zip(*times_s[name], strict=True))
        pairs = zip(times_s[name], plotly_s, strict=True)
        ratios = [[page_s / reference_s for page_s, reference_s in zip(*pair, strict=True)] for pair in pairs]
        first_ratio, load_ratio = (median(column) for column in zip(*ratios, strict=True))
        size = len(html.encode()) / 1e6
        print(f"{name:<20} {size:>6.1f} {first_s:>15.2f} {first_ratio:>8.2f}", end=" ")
        print(f"{load_s:>9.2f} {load_ratio:>8.2f}")


if __name__ == "__main__":
    main()
