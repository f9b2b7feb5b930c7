"""A page of 5,040 rows, drawn as more than 50,000 points in its figures."""

from dataclasses import replace

import pytest
from embedding import embedded
from synthetic import error, row, run_of
from timeouts import slowness

from linbench.core.measurement import Status
from linbench.core.samples import Samples
from linbench.report.page import render

ROWS = 5040
LENGTHS = range(64, 64 * 253, 64)
SAMPLES_S = tuple(1e-3 + 1e-6 * number for number in range(200))
ALONG = tuple(1e-7 * (1 + number) for number in range(16))
PARTS = {"output_bytes": 100, "saved_bytes": 200, "workspace_bytes": 400, "state_bytes": 64}
MOST_BYTES = 8_000_000
MOST_S = 4.0


def measurement(name, T, mode, number):
    result = row(name, 1e-6 * T * (1 + number), T=T, mode=mode, extra=700 * T)
    return replace(
        result,
        time=replace(result.time, processes=(len(SAMPLES_S),), samples=Samples(SAMPLES_S)),
        memory=replace(result.memory, **PARTS),
        errors={"o": replace(error(), by_position=ALONG)},
    )


@pytest.fixture(scope="module")
def html():
    rows = [
        measurement(f"a/{number}", T, mode, number)
        for mode in ("fwd", "decode")
        for T in LENGTHS
        for number in range(10)
    ]
    assert len(rows) == ROWS
    return render(run_of([*rows[:-1], row("a/9", T=LENGTHS[-1], mode="decode", status=Status.OOM)]))


def test_its_size_is_at_most_8_mb_regardless_of_samples(html):
    assert len(html.encode()) <= MOST_BYTES


@pytest.fixture(scope="module")
def report_page(open_page, html):
    report_page = open_page(html)
    session = report_page.page.context.new_cdp_session(report_page.page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    report_page.page.reload()
    report_page.figure("time")
    metrics = session.send("Performance.getMetrics")["metrics"]
    report_page.first_figure_s = next(
        metric["value"] for metric in metrics if metric["name"] == "TaskDuration"
    )
    report_page.wall_s = report_page.page.evaluate("performance.now()") / 1000
    return report_page


@pytest.mark.browser
class TestLarge:
    def test_the_first_figure_is_fast_and_needs_no_network(self, report_page):
        """Processor time of the page's thread, which depends little on the load of the machine."""
        print(f"first figure: {report_page.first_figure_s:.1f} s of processor time")  # noqa: T201 - pytest -s shows it
        assert 0 < report_page.first_figure_s < MOST_S * slowness()
        (request,) = set(report_page.requests)
        assert request.startswith("file:")
        assert report_page.messages == []

    def test_it_holds_20_figures_and_50_000_points(self, report_page, html):
        data = embedded(html)
        assert len(data["panels"]) * report_page.page.locator(".grid [data-figure]").count() == 20
        along = [*data["values"].values(), data["errors"][""]["values"], data["parts"]["values"]]
        drawn_points = sum(y is not None for values in along for y in values["y"])
        segments = sum(map(len, data["positions"]["along"]))
        speedups = [panel["speedups"][str(data["baseline"])]["y"] for panel in data["panels"]]
        assert drawn_points + segments + sum(map(len, speedups)) >= 50_000

    def test_its_rows_have_pages_and_a_fast_search(self, report_page):
        page = report_page.page
        assert page.locator("#table tbody tr").count() == 50
        assert page.inner_text("#count") == "1\u201350 of 5,040"
        duration_ms = page.evaluate(
            "() => { const box = document.getElementById('search'), start = performance.now();"
            "box.value = 'a/7 mode=decode'; box.dispatchEvent(new Event('input'));"
            "return performance.now() - start; }"
        )
        assert page.inner_text("#count") == "1\u201350 of 252"
        assert duration_ms < 1000 * slowness()

    def test_another_panel_can_be_shown(self, report_page):
        report_page.choose("mode", "decode")
        report_page.figure("time")
        assert report_page.page.inner_text("#figure-time .panel").startswith("decode · float32 · cpu · B 1")
