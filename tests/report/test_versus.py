"""Two stored runs side by side on one page."""

import re
from dataclasses import replace

import pytest
from embedding import compressed, dense, embedded
from synthetic import ENVIRONMENT, PLAN, code, row, run_of, sweep

from linbench.compare.stored import suspicions
from linbench.core.errors import UsageError
from linbench.core.measurement import Status
from linbench.report.index import entries
from linbench.report.versus import NO_PROOF, OTHER_MACHINE, differences, render_versus

LENGTHS = (512, 1024, 2048)
HOSTILE = "d/<img src=x onerror=alert(1)><script>window.pwned=1</script>"
REASON = "</script><script>window.pwned=2</script>"
ENVIRONMENT_B = replace(
    ENVIRONMENT, libraries={"torch": "2.14.0"}, code=(code("a/x", commit="fedcba98", dirty=True),)
)


def failed_row(name, status, T=2048, reason=None):
    return row(name, T=T, status=status, reason=reason)


@pytest.fixture(scope="module")
def a():
    rows = [
        *sweep("a/steady", lambda x: 1e-6 * x, LENGTHS),
        *sweep("b/slower", lambda x: 2e-6 * x, LENGTHS),
        *sweep("c/faster", lambda x: 3e-6 * x, LENGTHS),
        *sweep(HOSTILE, lambda x: 4e-6 * x, LENGTHS),
        *sweep("e/removed", lambda x: 1e-6 * x, (512,)),
        failed_row("e/removed", Status.CRASHED, 1024, "<b>signal</b> 11"),
    ]
    return replace(run_of(rows), id="20261122-143000-aaaa")


@pytest.fixture(scope="module")
def b():
    rows = [
        *sweep("a/steady", lambda x: 1.001e-6 * x, LENGTHS),
        *(replace(row, flags=("contended",)) for row in sweep("b/slower", lambda x: 2.6e-6 * x, LENGTHS)),
        *sweep("c/faster", lambda x: 2.7e-6 * x, LENGTHS),
        *sweep(HOSTILE, lambda x: 4e-6 * x, (512, 1024), extra=2**21),
        failed_row(HOSTILE, Status.OOM, reason=REASON),
        *sweep("f/new", lambda x: 1e-6 * x, LENGTHS),
    ]
    return replace(run_of(rows, environment=ENVIRONMENT_B), id="20261123-143000-bbbb")


@pytest.fixture(scope="module")
def html(a, b):
    return render_versus(a, b)


class TestText:
    """Tests that need no browser."""

    def test_it_counts_suspect_rows_and_states_that_they_prove_nothing(self, html):
        for sentence in (
            NO_PROOF,
            "12 rows compared, 7 suspect: 3 slower in B, 3 faster, 1 with another status.",
            "B takes 0.900\u00d7 to 1.30\u00d7 the time of A; the median is 1.00\u00d7.",
        ):
            assert f"<li>{sentence}</li>" in html
        assert "B T2048 H4 K64 V64 float32 fwd cpu: ok in A, oom in B." in html.replace("B1 ", "B ")

    def test_every_shared_row_has_the_answer_of_the_comparison(self, a, b, html):
        data = embedded(html)
        names, cases, _, answers = (column["texts"] for column in data["listing"]["columns"][:4])
        assert dict(zip(zip(names, cases, strict=True), answers, strict=True)) == {
            (suspicion.b.implementation, str(suspicion.b.case)): suspicion.answer
            for suspicion in suspicions(a, b)
        }
        (panel,) = data["panels"]
        assert sorted(panel["rows"]) == list(range(12))

    def test_only_the_differences_of_the_environments_are_listed(self, a, b):
        texts_of = {f"{title} {name}": texts for title, name, *texts in differences(a, b)}
        assert texts_of["libraries torch"] == ["2.13.0", "2.14.0"]
        assert texts_of["libraries numpy"] == ["2.4.0", "none"]
        assert texts_of["code 0 dirty"] == ["no", "yes"]
        assert texts_of["flags contended"] == ["none", "3 rows"]
        assert not any(name.startswith(("host", "plan")) for name in texts_of)
        assert differences(a, a) == []

    def test_another_machine_is_a_caveat(self, a, b, html):
        assert OTHER_MACHINE not in html
        b_elsewhere = replace(
            b, environment=replace(ENVIRONMENT_B, host=replace(ENVIRONMENT_B.host, cpu="Another CPU"))
        )
        assert f"<li>{OTHER_MACHINE}</li>" in render_versus(a, b_elsewhere)

    def test_unmatched_rows_are_listed_with_their_failures(self, html):
        section = html[html.index('<section id="unmatched">') :]
        assert "Only in A: 2 rows" in section
        assert '<td class="failed">crashed</td><td>&lt;b&gt;signal&lt;/b&gt; 11</td>' in dense(section)
        assert "Only in B: 3 rows" in section
        assert section.count('<th scope="row">f/new</th>') == 3

    def test_a_run_without_unmatched_rows_is_listed_with_none(self, a):
        assert "Only in B: none." in render_versus(a, replace(a, id="20261124-143000-cccc"))

    def test_runs_without_a_common_case_are_an_error_with_advice(self, a):
        with pytest.raises(
            UsageError, match="in common; `linbench run --grid long-seq --device cpu` repeats"
        ):
            render_versus(a, run_of([row("z/other")]))

    def test_a_time_of_zero_or_another_timer_has_no_ratio(self):
        zero, nonzero = run_of([row("a/x", 0.0)]), run_of([row("a/x", 1.0)])
        message = "1 row timed in both runs without a ratio: timers differ or a time is 0."
        assert message in render_versus(zero, nonzero)
        row_b = replace(nonzero.measurements[0], time=replace(nonzero.measurements[0].time, timer="cupti"))
        assert message in render_versus(nonzero, run_of([row_b]))

    def test_an_index_lists_the_page(self, html, tmp_path):
        (tmp_path / "x-vs-y.html").write_text(html, encoding="utf-8")
        (entry,) = entries(tmp_path)
        assert (entry.run, entry.title) == (
            "20261122-143000-aaaa and 20261123-143000-bbbb",
            "Two runs of long-seq",
        )
        assert entry.tally == "12 rows compared \u00b7 7 suspect"
        assert entry.command == "linbench report --compare 20261122-143000-aaaa 20261123-143000-bbbb"

    def test_no_text_of_a_run_becomes_markup(self, html):
        assert re.fullmatch(r"[A-Za-z0-9+/=]+", compressed(html))
        assert HOSTILE not in html
        assert REASON not in html
        assert PLAN.grid.name in html


@pytest.fixture(scope="module")
def report_page(open_page, html):
    return open_page(html)


@pytest.mark.browser
class TestBrowser:
    def test_the_ratio_is_drawn_with_its_interval_and_its_answer(self, report_page, a, b):
        lines = {trace["name"]: trace for trace in report_page.figure("ratio")}
        expected = {(item.b.implementation, item.b.case.T): item for item in suspicions(a, b)}
        for name, hollow in (("a/steady", True), ("b/slower", False), ("c/faster", False)):
            line = lines[name]
            for number, x in enumerate(LENGTHS):
                suspicion = expected[name, x]
                assert line["y"][number] == pytest.approx(1 + suspicion.effect)
                assert line["y"][number] + line["error_y"]["array"][number] == pytest.approx(
                    1 + suspicion.high
                )
                assert line["y"][number] - line["error_y"]["arrayminus"][number] == pytest.approx(
                    1 + suspicion.low
                )
                assert line["marker"]["symbol"][number].endswith("-open") is hollow
        assert "suspect" in lines["b/slower"]["hovertext"][0]

    def test_a_failure_is_a_cross_with_its_reason_in_both_figures(self, report_page):
        for name in ("ratio", "times"):
            (cross,) = [trace for trace in report_page.figure(name) if trace["marker"]["symbol"] == "x-thin"]
            assert (cross["x"], cross["yaxis"]) == ([2048], "y2")
            assert "B oom: &lt;/script&gt;" in cross["hovertext"][0].replace("<br>", " ")
            assert "B oom" in report_page.page.text_content(f"#figure-{name} .missing")
            assert "ok \u2192 oom" in report_page.page.text_content(f"#figure-{name} .numbers")

    def test_the_times_of_both_are_drawn_even_if_one_side_failed(self, report_page):
        lines = {trace["name"]: trace for trace in report_page.figure("times")}
        hostile = next(name for name in lines if "img" in name and name.endswith(", A"))
        assert lines[hostile]["y"] == pytest.approx([4e-6 * x for x in LENGTHS])
        times_b = lines[hostile.removesuffix("A") + "B"]["y"]
        assert times_b[:2] == pytest.approx([4e-6 * 512, 4e-6 * 1024])
        assert times_b[2] is None
        dashes = report_page.page.evaluate(
            "document.querySelector('#figure-times .plot').data.filter(({mode}) => mode === 'lines+markers')"
            ".map(({name, line}) => [name.slice(-1), line.dash])"
        )
        assert {tuple(pair) for pair in dashes} == {("A", "dash"), ("B", "solid")}

    def test_the_rows_can_be_searched_and_have_the_memory_of_both(self, report_page):
        page = report_page.page
        rows = page.locator("#table tbody tr")
        assert rows.count() == 12
        ratios = page.locator("#table tbody td:nth-child(3)").all_inner_texts()
        assert [text.split("\u00d7")[0] for text in ratios] == [
            *("1.30", "1.30", "1.30"), *("1.00",) * 5, *("0.900",) * 3, "",
        ]  # fmt: skip
        assert rows.first.locator("td.name").inner_text() == "b/slower"
        assert "1.30\u00d7 [" in rows.first.inner_text()
        assert "B contended" in rows.first.inner_text()
        page.fill("#search", "suspect oom")
        assert rows.count() == 1
        assert REASON in rows.first.inner_text()
        page.fill("#search", "onerror t512")
        assert "1.00 MiB (allocator) \u2192 2.00 MiB (allocator)" in rows.first.inner_text()
        page.fill("#search", "")

    def test_an_implementation_can_be_hidden(self, report_page):
        box = report_page.page.locator(".legend label", has_text="b/slower").locator("input")
        box.uncheck()
        assert "b/slower" not in {trace["name"] for trace in report_page.figure("ratio")}
        box.check()

    def test_it_has_no_messages_no_requests_and_runs_no_text_of_a_run(self, report_page):
        assert report_page.page.evaluate("window.pwned") is None
        assert report_page.page.locator("img, main b").count() == 0
        assert report_page.messages == []
        assert len(report_page.requests) == 1

    def test_it_fits_a_phone_in_the_dark(self, open_page, html):
        report_page = open_page(html, width=390, scheme="dark")
        for name in ("ratio", "times"):
            report_page.figure(name)
        assert report_page.page.evaluate("document.documentElement.scrollWidth") == 390
        assert (
            report_page.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        )
        assert report_page.messages == []
