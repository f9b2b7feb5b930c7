import csv
from dataclasses import replace

import pytest
from embedding import embedded
from synthetic import CEILINGS, ENVIRONMENT, row, run_of

from linbench.core.measurement import Status
from linbench.core.work import Work
from linbench.report.page import render

MEASURED = replace(ENVIRONMENT, ceilings=CEILINGS)
HOSTILE = "linear/<b>x</b>"


def rows():
    """At T = 1,024: 0.5 of the compute roof, 0.40004 of the memory roof, one that declares no algorithm."""
    found = []
    for T in (512, 1024):
        found += [
            replace(
                row("a/computes", 0.04 * T / 1024, spread=0.1, T=T), work=Work(1e9 * T / 1024, 4e9, 2**20)
            ),
            replace(row("a/moves", 0.25, T=T), work=Work(1e7, None, 10**9 + 10**6)),
            replace(row(HOSTILE, 0.5, T=T), work=Work(1e9, 2e9, 2**20), flags=("contended",)),
        ]
    return [
        *found,
        row("a/gone", T=1024, status=Status.OOM, reason="not enough memory"),
        row("a/old", T=1024),
    ]


RUN = run_of(rows(), environment=MEASURED)


def test_rows_carry_their_work_and_what_bounds_it():
    data = embedded(render(RUN))
    roofs = data["roofs"]["cpu float32"]
    assert [(one["name"], one["x"][1], one["y"][1]) for one in roofs] == [
        ("L2", 0.5, 5e10),
        ("memory", 5.0, 5e10),
    ]
    names = ("intensity", "algorithmic", "algorithmic_intensity", "light", "useful_text", "fewest_text")
    cells = list(zip(*(data["points"][name] for name in names), strict=True))
    assert cells[3] == (953.674, 1e11, 3814.7, "50.0% [45.5, 55.6] compute", "25.0 GFLOP/s", "1.00 MiB")
    assert cells[4] == (0.00999001, None, None, "40.0% [39.6, 40.4] memory", "40.0 MFLOP/s", "955 MiB")
    assert cells[-2:] == [(None, None, None, "", "", "")] * 2


def test_without_ceilings_a_sentence_says_how_to_have_them():
    html = render(run_of(rows()))
    assert 'id="figure-roofline"' not in html
    assert "Of the speed of light" not in html.split("<script>")[0]
    assert "<code>linbench doctor --ceilings --device cpu</code>" in html
    assert embedded(html)["roofs"] == {}
    assert 'id="unmeasured"' not in render(RUN)
    assert 'id="unmeasured"' not in render(run_of([row("a/x", status=Status.OOM)]))


def test_rows_of_before_work_was_kept_have_no_roofline():
    html = render(run_of([row("a/old")], environment=MEASURED))
    assert 'id="figure-roofline"' not in html
    assert "Of the speed of light" not in html.split("<script>")[0]


@pytest.fixture(scope="module")
def report_page(open_page):
    return open_page(render(RUN))


@pytest.mark.browser
class TestRoofline:
    def test_useful_and_algorithmic_work_lie_on_a_line_at_one_time(self, report_page):
        drawn = {trace["name"]: trace for trace in report_page.figure("roofline")}
        assert set(drawn) == {
            "roof of L2", "roof of memory", "a/computes", "a/moves", "linear/&lt;b&gt;x&lt;/b&gt;",
        }  # fmt: skip
        assert drawn["a/computes"]["x"] == pytest.approx([1e9 / 2**20, 4e9 / 2**20])
        assert drawn["a/computes"]["y"] == pytest.approx([2.5e10, 1e11])
        assert drawn["a/moves"]["x"] == pytest.approx([1e7 / (10**9 + 10**6)])
        assert drawn["linear/&lt;b&gt;x&lt;/b&gt;"]["marker"]["symbol"].endswith("-open")
        assert report_page.colours("roofline") > 20

    def test_a_roof_turns_where_operations_bound(self, report_page):
        memory = next(trace for trace in report_page.figure("roofline") if trace["name"] == "roof of memory")
        left, ridge, right = memory["x"]
        assert ridge == pytest.approx(5e10 / 1e10)
        assert memory["y"] == pytest.approx([left * 1e10, 5e10, 5e10])
        assert report_page.page.locator("#figure-roofline .xtick").count() >= 2
        assert report_page.page.locator("#figure-roofline .ytick").count() >= 2
        names = report_page.page.locator("#figure-roofline .annotation-text").all_text_contents()
        assert names == ["L2", "memory"]
        assert left < 1e7 / 10**9 < 4e9 / 2**20 < right

    def test_the_table_behind_it_and_what_is_missing(self, report_page):
        report_page.figure("roofline")
        lines = report_page.page.locator("#figure-roofline .numbers tbody tr").all_text_contents()
        assert lines[0].startswith(
            "a/computes40.0 ms [36.0, 44.0]50.0% [45.5, 55.6] compute25.0 GFLOP/s100 GFLOP/s"
        )
        assert "40.0% [39.6, 40.4] memory40.0 MFLOP/snot declared4.00 GB/s" in lines[1]
        missing = report_page.page.text_content("#figure-roofline .missing")
        assert "a/gone, oom at T = 1,024: not enough memory" in missing
        assert "a/old, ok at T = 1,024: its work was not recorded" in missing
        label = report_page.page.get_attribute("#figure-roofline .plot", "aria-label")
        assert label.startswith("Roofline at T = 1,024")

    def test_the_chosen_length_is_drawn(self, report_page):
        report_page.page.select_option("#at", "512")
        drawn = {trace["name"]: trace for trace in report_page.figure("roofline")}
        assert drawn["a/computes"]["y"] == pytest.approx([2.5e10, 2e11])
        report_page.page.select_option("#at", "1024")

    def test_the_table_of_rows_and_the_csv_have_the_share(self, report_page):
        texts = report_page.rows()
        assert "50.0% [45.5, 55.6] compute" in texts[3]
        assert not any("] compute" in text or "] memory" in text for text in texts[-2:])
        with report_page.page.expect_download() as download:
            report_page.page.click("#download")
        with open(download.value.path(), encoding="utf-8", newline="") as file:
            cells = list(csv.DictReader(file))[3]
        found = {name: cells[name] for name in ("useful_flops", "bound_s", "limit", "share")}
        assert found == {
            "useful_flops": "1000000000.0",
            "bound_s": "0.02",
            "limit": "compute",
            "share": "0.5",
        }
        assert report_page.complaints == []
