from dataclasses import replace

import pytest
from synthetic import row, run_of, sweep, table

from linbench.analysis import panels
from linbench.core.measurement import Status
from linbench.report.data import MANY, report_data
from linbench.report.families import families, fastest
from linbench.report.page import render
from linbench.report.panel import MOST_BASELINES

LENGTHS = (512, 1024, 2048)


class Linear:
    name = "linear"
    kind = "exact recurrence"
    complexity = "O(T)"


def rows():
    """A linear operator whose parallel form is faster at first, one that fails, and one with many forms."""
    result = sweep("linear/chunk", lambda x: 1e-6 * x, xs=LENGTHS, spread=0.0)
    result += sweep("linear/naive", lambda x: 1e-9 * x**2, xs=LENGTHS[:2], spread=0.0)
    result.append(row("linear/naive", T=2048, status=Status.OOM, reason="not enough memory"))
    result += [row("nsa/chunk", T=x, status=Status.ERROR) for x in LENGTHS]
    for number in range(MANY):
        result += sweep(f"softmax/form{number}", lambda x, n=number: 1e-9 * (n + 1) * x**2, xs=LENGTHS)
    return [
        replace(row, memory=replace(row.memory, state_bytes=4096)) if row.memory else row for row in result
    ]


def panel():
    return panels(table(rows()))[0]


def test_an_operator_is_represented_by_its_fastest_implementation_at_the_largest_value():
    assert fastest(panel()) == {"linear": "linear/chunk", "softmax": "softmax/form0"}
    linear, nsa, softmax = families(panel(), {"linear": Linear()})
    assert (linear.implementation, linear.at, linear.time) == (
        "linear/chunk",
        "2,048",
        "2.05 ms [2.05, 2.05]",
    )
    assert (linear.kind, linear.complexity, linear.exponent) == (
        "exact recurrence",
        "O(T)",
        "1.00 [1.00, 1.00]",
    )
    assert (linear.error, linear.memory, linear.state, linear.failed) == ("0.150", "1.00 MiB", "4.00 KiB", 1)
    assert (nsa.implementation, nsa.time, nsa.failed) == ("", "", 3)
    assert (softmax.kind, softmax.complexity, softmax.failed) == ("", "", 0)


def test_a_single_operator_has_no_line():
    assert families(panels(table(sweep("a/x", lambda x: x * 1e-6)))[0], {}) == []


@pytest.fixture(scope="module")
def report_page(open_page):
    return open_page(render(run_of(rows()), operators=[Linear()]))


@pytest.mark.browser
class TestLines:
    """The choice of the lines in figures."""

    def lines(self, report_page):
        return {trace["name"].removesuffix(" failed") for trace in report_page.figure("time")}

    def legend(self, report_page):
        labels = report_page.page.locator(".legend label:visible")
        return {text.strip() for text in labels.all_inner_texts()}

    def test_many_implementations_begin_with_one_line_per_operator(self, report_page):
        assert self.lines(report_page) == self.legend(report_page) == {"linear/chunk", "softmax/form0"}

    def test_the_implementations_of_one_operator(self, report_page):
        report_page.page.select_option("#lines", "of linear")
        assert self.lines(report_page) == self.legend(report_page) == {"linear/chunk", "linear/naive"}

    def test_all_implementations_but_an_unchecked_one(self, report_page):
        report_page.page.select_option("#lines", "every")
        assert len(self.lines(report_page)) == len(self.legend(report_page)) == MANY + 3
        report_page.page.locator(".legend label", has_text="linear/naive").locator("input").uncheck()
        assert "linear/naive" not in self.lines(report_page)
        assert "linear/naive" in self.legend(report_page)
        assert report_page.messages == []

    def test_baselines_are_the_initial_one_and_the_fastest_of_each_operator_if_there_are_many(self):
        names = [f"o{number // 3}/{number % 3}" for number in range(3 * MOST_BASELINES // 2)]
        measurements = [row(name, 1e-3 * (1 + index), T=512) for index, name in enumerate(names)]
        drawing = report_data(run_of(measurements), baseline="o11/2").drawing
        baselines = [drawing.implementations[number].name for number in drawing.baselines]
        assert len(baselines) == MOST_BASELINES == len(drawing.panels[0].speedups)
        assert {"o11/2", *(f"o{number}/0" for number in range(MOST_BASELINES // 2))} <= set(baselines)
        assert baselines == sorted(baselines, key=[style.name for style in drawing.implementations].index)
        few = report_data(run_of(measurements[:9])).drawing
        assert few.baselines == tuple(range(9))

    def test_few_implementations_begin_with_all_lines(self, open_page):
        few = open_page(render(run_of(rows()[:9])))
        assert self.lines(few) == {"linear/chunk", "linear/naive", "nsa/chunk"}
