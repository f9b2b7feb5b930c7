from dataclasses import replace

import pytest
from synthetic import error, row, run_of

from linbench.analysis import pareto_front
from linbench.core.measurement import Status
from linbench.report.data import report_data
from linbench.report.page import render
from linbench.store.table import frame

COSTS = {
    "s/fast": (1e-3, 9e-7),
    "s/exact": (4e-3, 1e-7),
    "s/dominated": (5e-3, 3e-7),
    "s/middle": (2e-3, 5e-7),
}
ALONG = (1e-7, 2e-7, None, 4e-7)


def rows():
    result = []
    for t in (512, 1024):
        for name, (time, rel_l2) in COSTS.items():
            measurement = row(name, time * t / 1024, T=t, spread=0.0, mode="decode", extra=700)
            parts = {"output_bytes": 100, "saved_bytes": 200, "workspace_bytes": 400, "state_bytes": 64}
            result.append(
                replace(
                    measurement,
                    errors={"o": replace(error(rel_l2), by_position=ALONG)},
                    memory=replace(measurement.memory, **parts),
                )
            )
    return [*result, row("s/failed", T=1024, mode="decode", status=Status.OOM, reason="not enough memory")]


def figure_ids(rows):
    return [figure.id for figure in report_data(run_of(rows)).drawing.figures]


def test_a_figure_exists_if_a_row_has_its_data():
    assert figure_ids(rows())[4:] == [*("throughput", "state", "reach", "pareto", "position", "parts")]
    assert figure_ids([row("a/x", status=Status.CRASHED)]) == [*("time", "memory", "speedup", "error")]


@pytest.fixture(scope="module")
def report_page(open_page):
    return open_page(render(run_of(rows())))


@pytest.mark.browser
class TestSlices:
    def test_the_front_is_that_of_the_analysis(self, report_page):
        front = report_page.figure("pareto")[0]
        run = run_of(row for row in rows() if row.case.T == 1024)
        expected = pareto_front(frame([run]))
        assert front["x"] == list(expected["median_s"]) == [1e-3, 2e-3, 4e-3]
        assert front["y"] == pytest.approx(list(expected["rel_l2"] / 2e-6))
        assert "s/failed, oom at T = 1,024: not enough memory" in report_page.page.text_content(
            "#figure-pareto .missing"
        )
        lines = report_page.page.locator("#figure-pareto .numbers tbody tr").all_text_contents()
        assert [line.endswith("no") for line in lines if line.startswith("s/dominated")] == [True]

    def test_the_selected_length_is_drawn(self, report_page):
        report_page.page.select_option("#at", "512")
        assert report_page.figure("pareto")[0]["x"] == [5e-4, 1e-3, 2e-3]
        report_page.page.select_option("#at", "1024")

    def test_error_lies_at_the_middle_of_its_stretch(self, report_page):
        line = report_page.figure("position")[0]
        assert line["x"] == [128.5, 384.5, 640.5, 896.5]
        assert line["y"] == list(ALONG)

    def test_the_parts_of_the_memory_are_stacked(self, report_page):
        bars = [trace for trace in report_page.figure("parts") if trace["name"] != "s/failed failed"]
        assert {bar["name"]: bar["x"] for bar in bars} == {
            "outputs": [100] * 4,
            "saved for backward": [200] * 4,
            "workspace": [400] * 4,
        }

    def test_a_failure_is_a_cross_with_its_reason_in_each_figure(self, report_page):
        for name, axis in (("pareto", "y2"), ("position", "y2"), ("parts", "y")):
            (cross,) = [trace for trace in report_page.figure(name) if trace["name"] == "s/failed failed"]
            assert (cross["yaxis"], cross["marker"]["symbol"]) == (axis, "x-thin")
            assert "oom: not enough memory" in cross["hovertext"][0]
            assert report_page.page.locator(f"#figure-{name} .textpoint", has_text="oom").count() == 1
            assert "oom" in report_page.page.locator(f"#figure-{name} .numbers").text_content()
        assert cross["y"] == ["s/failed"]

    def test_a_decode_step_is_one_token(self, report_page):
        line = next(trace for trace in report_page.figure("throughput") if trace["name"] == "s/exact")
        assert line["y"] == pytest.approx([500, 250])
        assert report_page.figure("state")[0]["y"] == [64, 64]
        assert report_page.messages == []

    def test_a_figure_without_a_point_has_no_axes(self, open_page):
        fwd = replace(row("s/fast", T=512), memory=replace(row("s/fast").memory, state_bytes=0))
        mixed = open_page(render(run_of([fwd, *(row for row in rows() if row.case.T == 512)])))
        mixed.choose("mode", "fwd")
        assert mixed.figure("state") == []
        assert mixed.page.locator("#figure-state .xtick, #figure-state .ytick").count() == 0
        assert "no data in this panel" in mixed.page.text_content("#figure-state .infolayer")
        mixed.choose("mode", "decode")
        assert mixed.figure("state")[0]["y"] == [64]
        assert mixed.page.locator("#figure-state .ytick").count() > 0
