import csv
from dataclasses import replace

import pytest
from embedding import embedded
from synthetic import CEILINGS, ENVIRONMENT, row, run_of

from linbench.core.measurement import Status
from linbench.core.work import Work
from linbench.report.page import render

WITH_CEILINGS = replace(ENVIRONMENT, ceilings=CEILINGS)
HOSTILE = "linear/<b>x</b>"


def rows():
    """At T = 1,024: 0.5 of the compute roof, and 0.40004 of the memory roof without algorithmic work."""
    result = []
    for T in (512, 1024):
        result += [
            replace(
                row("a/computes", 0.04 * T / 1024, spread=0.1, T=T), work=Work(1e9 * T / 1024, 4e9, 2**20)
            ),
            replace(row("a/moves", 0.25, T=T), work=Work(1e7, None, 10**9 + 10**6)),
            replace(row(HOSTILE, 0.5, T=T), work=Work(1e9, 2e9, 2**20), flags=("contended",)),
        ]
    return [
        *result,
        row("a/failed", T=1024, status=Status.OOM, reason="not enough memory"),
        row("a/old", T=1024),
    ]


RUN = run_of(rows(), environment=WITH_CEILINGS)


def test_rows_have_their_work_and_their_limit():
    data = embedded(render(RUN))
    roofs = data["roofs"]["cpu float32"]
    assert [(roof["name"], roof["x"][1], roof["y"][1]) for roof in roofs] == [
        ("L2", 0.5, 5e10),
        ("memory", 5.0, 5e10),
    ]
    names = ("intensity", "algorithmic", "algorithmic_intensity", "share_text", "useful_text", "fewest_text")
    cells = list(zip(*(data["points"][name] for name in names), strict=True))
    assert cells[3] == (953.674, 1e11, 3814.7, "50.0% [45.5, 55.6] compute", "25.0 GFLOP/s", "1.00 MiB")
    assert cells[4] == (0.00999001, None, None, "40.0% [39.6, 40.4] memory", "40.0 MFLOP/s", "955 MiB")
    assert cells[-2:] == [(None, None, None, "", "", "")] * 2


def test_without_ceilings_a_sentence_names_the_command_that_measures_them():
    html = render(run_of(rows()))
    assert 'id="figure-roofline"' not in html
    assert "Share of speed of light" not in html.split("<script>")[0]
    assert "<code>linbench doctor --ceilings --device cpu</code>" in html
    assert embedded(html)["roofs"] == {}
    assert 'id="unmeasured"' not in render(RUN)
    assert 'id="unmeasured"' not in render(run_of([row("a/x", status=Status.OOM)]))


def test_old_rows_without_work_have_no_roofline():
    html = render(run_of([row("a/old")], environment=WITH_CEILINGS))
    assert 'id="figure-roofline"' not in html
    assert "Share of speed of light" not in html.split("<script>")[0]


@pytest.fixture(scope="module")
def report_page(open_page):
    return open_page(render(RUN))


@pytest.mark.browser
class TestRoofline:
    def test_useful_and_algorithmic_work_are_on_one_line(self, report_page):
        traces = {trace["name"]: trace for trace in report_page.figure("roofline")}
        assert set(traces) == {
            "roof of L2", "roof of memory", "a/computes", "a/moves", "linear/&lt;b&gt;x&lt;/b&gt;",
        }  # fmt: skip
        assert traces["a/computes"]["x"] == pytest.approx([1e9 / 2**20, 4e9 / 2**20])
        assert traces["a/computes"]["y"] == pytest.approx([2.5e10, 1e11])
        assert traces["a/moves"]["x"] == pytest.approx([1e7 / (10**9 + 10**6)])
        assert traces["linear/&lt;b&gt;x&lt;/b&gt;"]["marker"]["symbol"].endswith("-open")
        assert report_page.colours("roofline") > 20

    def test_a_roof_has_its_ridge_point_where_compute_bounds(self, report_page):
        memory = next(trace for trace in report_page.figure("roofline") if trace["name"] == "roof of memory")
        first, ridge, last = memory["x"]
        assert ridge == pytest.approx(5e10 / 1e10)
        assert memory["y"] == pytest.approx([first * 1e10, 5e10, 5e10])
        assert report_page.page.locator("#figure-roofline .xtick").count() >= 2
        assert report_page.page.locator("#figure-roofline .ytick").count() >= 2
        names = report_page.page.locator("#figure-roofline .annotation-text").all_text_contents()
        assert names == ["L2", "memory"]
        assert first < 1e7 / 10**9 < 4e9 / 2**20 < last

    def test_its_table_and_its_missing_rows(self, report_page):
        report_page.figure("roofline")
        lines = report_page.page.locator("#figure-roofline .numbers tbody tr").all_text_contents()
        assert lines[0].startswith(
            "a/computes40.0 ms [36.0, 44.0]50.0% [45.5, 55.6] compute25.0 GFLOP/s100 GFLOP/s"
        )
        assert "40.0% [39.6, 40.4] memory40.0 MFLOP/snot declared4.00 GB/s" in lines[1]
        missing = report_page.page.text_content("#figure-roofline .missing")
        assert "a/failed, oom at T = 1,024: not enough memory" in missing
        assert "a/old, ok at T = 1,024: amount of work not recorded" in missing
        label = report_page.page.get_attribute("#figure-roofline .plot", "aria-label")
        assert label.startswith("Roofline at T = 1,024")

    def test_the_selected_length_is_drawn(self, report_page):
        report_page.page.select_option("#at", "512")
        traces = {trace["name"]: trace for trace in report_page.figure("roofline")}
        assert traces["a/computes"]["y"] == pytest.approx([2.5e10, 2e11])
        report_page.page.select_option("#at", "1024")

    def test_the_table_of_rows_and_the_csv_have_the_share(self, report_page):
        texts = report_page.rows()
        assert "50.0% [45.5, 55.6] compute" in texts[3]
        assert not any("] compute" in text or "] memory" in text for text in texts[-2:])
        with report_page.page.expect_download() as download:
            report_page.page.click("#download")
        with open(download.value.path(), encoding="utf-8", newline="") as file:
            cells = list(csv.DictReader(file))[3]
        values = {name: cells[name] for name in ("useful_flops", "bound_s", "limit", "share")}
        assert values == {
            "useful_flops": "1000000000.0",
            "bound_s": "0.02",
            "limit": "compute",
            "share": "0.5",
        }
        assert report_page.messages == []
