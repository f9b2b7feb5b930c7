import csv
from dataclasses import replace

import pytest
from synthetic import PLAN, row, run_of

from linbench.core.grid import Grid
from linbench.core.measurement import Status
from linbench.report.index import entries, render_index
from linbench.report.page import render

HOSTILE = "<script>window.pwned=1</script>\"'"
ROWS = [
    row("linear/=x", 1e-3, T=512),
    row("linear/y", 2e-3, T=512),
    row("linear/y", T=1024, status=Status.OOM, reason='="quoted", and more'),
]


def test_an_index_lists_the_reports_of_a_folder_and_nothing_else(tmp_path):
    plan = replace(PLAN, grid=Grid(HOSTILE), command=("linbench", "run", HOSTILE))
    (tmp_path / "a b.html").write_text(render(run_of(ROWS, plan=plan)), encoding="utf-8")
    (tmp_path / "other.html").write_text("<title>not ours</title>", encoding="utf-8")
    (tmp_path / "bad.html").write_text('<meta name="linbench-report" content="[1]">', encoding="utf-8")
    (tmp_path / "binary.html").write_bytes(b"\xff\xfe\x00")
    (found,) = entries(tmp_path)
    assert (found.file, found.title, found.run) == ("a b.html", HOSTILE, "20261122-143000-1a2b")
    assert found.tally == "3 rows · 2 ok · 1 oom"
    html = render_index([found])
    assert 'href="./a%20b.html"' in html
    assert "<script" not in html
    assert "linbench run &#39;&lt;script&gt;" in html


@pytest.mark.browser
def test_the_rows_that_are_listed_come_as_csv(open_page):
    opened = open_page(render(run_of(ROWS)))

    def downloaded():
        with opened.page.expect_download() as waiting:
            opened.page.click("#download")
        with open(waiting.value.path(), encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    first, second, third = downloaded()
    assert (first["implementation"], first["median_s"], first["T"]) == ("linear/=x", "0.001", "512")
    assert second["extra_bytes"] == str(2**20)
    assert second["command"].startswith("linbench run --impl linear/y --T 512")
    assert (third["status"], third["median_s"], third["reason"]) == ("oom", "", '\'="quoted", and more')
    opened.page.fill("#search", "T=1024")
    assert [one["T"] for one in downloaded()] == ["1024"]
    assert opened.complaints == []
