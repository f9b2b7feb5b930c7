import csv
import io
from dataclasses import replace

import pytest
from synthetic import PLAN, row, run_of

from linbench.core.grid import Grid
from linbench.core.measurement import Status
from linbench.report.index import entries, render_index
from linbench.report.page import render
from linbench.store.exchange.export import write_run

HOSTILE = "<script>window.pwned=1</script>\"'"
ROWS = [
    row("linear/=x", 1e-3, T=512),
    row("linear/y", 2e-3, T=512),
    row("linear/y", T=1024, status=Status.OOM, reason='="quoted", and more'),
]


def test_an_index_lists_the_reports_of_a_folder_and_nothing_else(tmp_path):
    plan = replace(PLAN, grid=Grid(HOSTILE), command=("linbench", "run", HOSTILE))
    (tmp_path / "a b.html").write_text(render(run_of(ROWS, plan=plan)), encoding="utf-8")
    (tmp_path / "other.html").write_text("<title>another page</title>", encoding="utf-8")
    (tmp_path / "bad.html").write_text('<meta name="linbench-report" content="[1]">', encoding="utf-8")
    (tmp_path / "binary.html").write_bytes(b"\xff\xfe\x00")
    (entry,) = entries(tmp_path)
    assert (entry.file, entry.title, entry.run) == ("a b.html", HOSTILE, "20261122-143000-1a2b")
    assert entry.tally == "3 rows · 2 ok · 1 oom"
    html = render_index([entry])
    assert 'href="./a%20b.html"' in html
    assert "<script" not in html
    assert "linbench run &#39;&lt;script&gt;" in html


@pytest.mark.browser
def test_the_csv_of_the_listed_rows_equals_that_of_export(open_page, tmp_path):
    run = run_of([*ROWS, row("linear/z", T=512, status=Status.ERROR, reason='two "lines",\r\nor\nthree')])
    report_page = open_page(render(run))

    def download():
        with report_page.page.expect_download() as event:
            report_page.page.click("#download")
        return event.value.path().read_bytes()

    write_run(run, "csv", tmp_path / "export.csv")
    exported = (tmp_path / "export.csv").read_bytes()
    assert download() == exported
    report_page.page.fill("#search", "linear/z")
    header_end, row_start = (
        exported.index(b"\r\n") + 2,
        exported.rindex(b"\r\n", 0, exported.index(b"linear/z")) + 2,
    )
    assert download() == exported[:header_end] + exported[row_start:]
    first, _, third, fourth = csv.DictReader(io.StringIO(exported.decode(), newline=""))
    assert (first["implementation"], first["median_s"], first["T"]) == ("linear/=x", "0.001", "512")
    assert (third["status"], third["median_s"], third["reason"]) == ("oom", "", '\'="quoted", and more')
    assert fourth["reason"] == 'two "lines",\r\nor\nthree'
    assert report_page.messages == []
