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
OTHER = replace(
    ENVIRONMENT, libraries={"torch": "2.14.0"}, code=(code("a/x", commit="fedcba98", dirty=True),)
)


def ended(name, status, T=2048, reason=None):
    return row(name, T=T, status=status, reason=reason)


@pytest.fixture(scope="module")
def a():
    rows = [
        *sweep("a/steady", lambda x: 1e-6 * x, LENGTHS),
        *sweep("b/slower", lambda x: 2e-6 * x, LENGTHS),
        *sweep("c/faster", lambda x: 3e-6 * x, LENGTHS),
        *sweep(HOSTILE, lambda x: 4e-6 * x, LENGTHS),
        *sweep("e/left", lambda x: 1e-6 * x, (512,)),
        ended("e/left", Status.CRASHED, 1024, "<b>signal</b> 11"),
    ]
    return replace(run_of(rows), id="20261122-143000-aaaa")


@pytest.fixture(scope="module")
def b():
    rows = [
        *sweep("a/steady", lambda x: 1.001e-6 * x, LENGTHS),
        *(replace(one, flags=("contended",)) for one in sweep("b/slower", lambda x: 2.6e-6 * x, LENGTHS)),
        *sweep("c/faster", lambda x: 2.7e-6 * x, LENGTHS),
        *sweep(HOSTILE, lambda x: 4e-6 * x, (512, 1024), extra=2**21),
        ended(HOSTILE, Status.OOM, reason=REASON),
        *sweep("f/new", lambda x: 1e-6 * x, LENGTHS),
    ]
    return replace(run_of(rows, environment=OTHER), id="20261123-143000-bbbb")


@pytest.fixture(scope="module")
def html(a, b):
    return render_versus(a, b)


class TestText:
    """What needs no browser."""

    def test_it_says_what_is_suspect_and_that_it_proves_nothing(self, html):
        for sentence in (
            NO_PROOF,
            "12 rows compared, 7 suspect: 3 slower in B, 3 faster, 1 ended otherwise.",
            "B takes 0.900\u00d7 to 1.30\u00d7 the time of A, in the middle 1.00\u00d7.",
        ):
            assert f"<li>{sentence}</li>" in html
        assert "B T2048 H4 K64 V64 float32 fwd cpu: ok in A, oom in B." in html.replace("B1 ", "B ")

    def test_every_shared_row_is_there_and_answers_as_the_comparison_does(self, a, b, html):
        data = embedded(html)
        names, cases, _, answers = (column["texts"] for column in data["listing"]["columns"][:4])
        assert dict(zip(zip(names, cases, strict=True), answers, strict=True)) == {
            (found.b.implementation, str(found.b.case)): found.answer for found in suspicions(a, b)
        }
        (shown,) = data["panels"]
        assert sorted(shown["rows"]) == list(range(12))

    def test_what_differs_between_the_environments_is_listed_and_nothing_else(self, a, b):
        found = {f"{title} {name}": texts for title, name, *texts in differences(a, b)}
        assert found["libraries torch"] == ["2.13.0", "2.14.0"]
        assert found["libraries numpy"] == ["2.4.0", "none"]
        assert found["code 0 dirty"] == ["no", "yes"]
        assert found["flags contended"] == ["none", "3 rows"]
        assert not any(name.startswith(("host", "plan")) for name in found)
        assert differences(a, a) == []

    def test_another_machine_is_said_in_words(self, a, b, html):
        assert OTHER_MACHINE not in html
        other = replace(b, environment=replace(OTHER, host=replace(OTHER.host, cpu="Another CPU")))
        assert f"<li>{OTHER_MACHINE}</li>" in render_versus(a, other)

    def test_rows_that_only_one_has_are_listed_with_their_failures(self, html):
        alone = html[html.index('<section id="alone">') :]
        assert "Only in A: 2 rows" in alone
        assert '<td class="failed">crashed</td><td>&lt;b&gt;signal&lt;/b&gt; 11</td>' in dense(alone)
        assert "Only in B: 3 rows" in alone
        assert alone.count('<th scope="row">f/new</th>') == 3

    def test_nothing_in_common_is_an_error_that_says_what_to_type(self, a):
        with pytest.raises(UsageError, match="in common; `linbench run --grid long-seq --device cpu`"):
            render_versus(a, run_of([row("z/other")]))

    def test_a_time_of_zero_or_another_timer_has_no_ratio(self):
        zero, one = run_of([row("a/x", 0.0)]), run_of([row("a/x", 1.0)])
        said = "1 row timed in both without a ratio: another timer, or a time of zero."
        assert said in render_versus(zero, one)
        other = replace(one.measurements[0], time=replace(one.measurements[0].time, timer="cupti"))
        assert said in render_versus(one, run_of([other]))

    def test_an_index_lists_it_among_the_reports(self, html, tmp_path):
        (tmp_path / "x-vs-y.html").write_text(html, encoding="utf-8")
        (found,) = entries(tmp_path)
        assert (found.run, found.title) == (
            "20261122-143000-aaaa and 20261123-143000-bbbb",
            "Two runs of long-seq",
        )
        assert found.tally == "12 rows compared \u00b7 7 suspect"
        assert found.command == "linbench report --compare 20261122-143000-aaaa 20261123-143000-bbbb"

    def test_no_text_of_a_run_is_markup(self, html):
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
        expected = {(found.b.implementation, found.b.case.T): found for found in suspicions(a, b)}
        for name, hollow in (("a/steady", True), ("b/slower", False), ("c/faster", False)):
            line = lines[name]
            for number, x in enumerate(LENGTHS):
                found = expected[name, x]
                assert line["y"][number] == pytest.approx(1 + found.effect)
                assert line["y"][number] + line["error_y"]["array"][number] == pytest.approx(1 + found.high)
                assert line["y"][number] - line["error_y"]["arrayminus"][number] == pytest.approx(
                    1 + found.low
                )
                assert line["marker"]["symbol"][number].endswith("-open") is hollow
        assert "suspect" in lines["b/slower"]["hovertext"][0]

    def test_a_failure_is_a_cross_with_its_reason_in_both_figures(self, report_page):
        for name in ("ratio", "both"):
            (cross,) = [trace for trace in report_page.figure(name) if trace["marker"]["symbol"] == "x-thin"]
            assert (cross["x"], cross["yaxis"]) == ([2048], "y2")
            assert "B oom: &lt;/script&gt;" in cross["hovertext"][0].replace("<br>", " ")
            assert "B oom" in report_page.page.text_content(f"#figure-{name} .missing")
            assert "ok \u2192 oom" in report_page.page.text_content(f"#figure-{name} .numbers")

    def test_the_times_of_both_are_drawn_and_a_side_that_failed_leaves_the_other(self, report_page):
        lines = {trace["name"]: trace for trace in report_page.figure("both")}
        hostile = next(name for name in lines if "img" in name and name.endswith(", A"))
        assert lines[hostile]["y"] == pytest.approx([4e-6 * x for x in LENGTHS])
        other = lines[hostile.removesuffix("A") + "B"]["y"]
        assert other[:2] == pytest.approx([4e-6 * 512, 4e-6 * 1024])
        assert other[2] is None
        dashes = report_page.page.evaluate(
            "document.querySelector('#figure-both .plot').data.filter(({mode}) => mode === 'lines+markers')"
            ".map(({name, line}) => [name.slice(-1), line.dash])"
        )
        assert {tuple(each) for each in dashes} == {("A", "dash"), ("B", "solid")}

    def test_the_rows_are_listed_searched_and_hold_memory_of_both(self, report_page):
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

    def test_it_is_silent_asks_for_nothing_and_runs_no_text_of_a_run(self, report_page):
        assert report_page.page.evaluate("window.pwned") is None
        assert report_page.page.locator("img, main b").count() == 0
        assert report_page.complaints == []
        assert len(report_page.requests) == 1

    def test_it_fits_a_phone_in_the_dark(self, open_page, html):
        report_page = open_page(html, width=390, scheme="dark")
        for name in ("ratio", "both"):
            report_page.figure(name)
        assert report_page.page.evaluate("document.documentElement.scrollWidth") == 390
        assert (
            report_page.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        )
        assert report_page.complaints == []
