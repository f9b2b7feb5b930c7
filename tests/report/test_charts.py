"""The charts of earlier runs, and their section of the page."""

import math
import re

import pytest
from synthetic import BARE, BARE_PLAN

from linbench.compare.history import Series
from linbench.core.case import Case
from linbench.core.run import Run
from linbench.report.history import MOST_CHARTS, history
from linbench.report.page import render
from linbench.statistics.change_points import Change
from linbench.store.store import HistoryPoint

RUN = Run("r5", "2026-11-22T00:00:00+00:00", None, BARE, BARE_PLAN)


def series(values, T=64, changes=()):
    case = Case(1, T, 2, 16, 16)
    points = tuple(
        HistoryPoint(f"r{n}", "", BARE, "linear/<b>", case, "cpu", v, 2.0) for n, v in enumerate(values)
    )
    return Series("linear/<b>", case, "CPU A, 2 cores", "cpu", points, tuple(changes))


def test_a_chart_ends_with_the_run_and_describes_its_change():
    values = [1.0, 1.0, 1.02, 1.0, 1.0, 1.05, 9.0, 9.0]
    result = history(RUN, [series(values, changes=[Change(6, 8.0, 0.0)])], {"nightly": "r2", "later": "r6"})
    (chart,) = result.charts
    assert len(chart.dots) == 6
    assert chart.steps == ()
    assert chart.sentences == (
        "+5.0% against the median of 5 earlier runs.", f"{1.05 / 1.02 - 1:+.1%} against nightly.",
        "The vertical range of the chart is 5.0%.",
    )  # fmt: skip
    assert [dot.baseline for dot in chart.dots] == [False, False, True, False, False, False]
    assert (chart.dots[0].y, chart.dots[5].y) == (66, 6)
    assert [dot.x for dot in chart.dots] == pytest.approx([6 + 308 * n / 5 for n in range(6)], abs=0.1)
    assert chart.dots[2].text == "r2 nightly: 1.02 s, 0.51 \u00d7 the calibration op"


def test_a_change_is_a_line_between_two_runs():
    (chart,) = history(RUN, [series([1, 1, 1, 2, 2, 2], changes=[Change(3, 1.0, 0.0)])], {}).charts
    assert chart.steps == ((chart.dots[2].x + chart.dots[3].x) / 2,)
    assert chart.sentences[1] == "+100.0% between r2 and r3."


def test_a_series_without_the_run_or_without_an_earlier_run_has_no_chart():
    assert history(RUN, [series([1.0] * 5)], {}).charts == ()
    complete = series([1.0] * 6)
    last = Series(
        complete.implementation, complete.case, complete.machine, complete.timer, complete.points[5:], ()
    )
    assert history(RUN, [last], {}).charts == ()


def test_charts_with_a_change_come_first_then_those_with_the_largest_last_change():
    many = [series([1.0] * 5 + [1 + n / 1000], T=n) for n in range(1, MOST_CHARTS + 3)]
    changed = series([1.0] * 6, T=999, changes=[Change(3, 0.01, 1e-5)])
    result = history(RUN, [*many, changed], {})
    assert result.left_out == 3
    assert len(result.charts) == MOST_CHARTS
    assert "T999" in result.charts[0].title
    assert f"T{MOST_CHARTS + 2} " in result.charts[1].title


def test_the_page_holds_the_charts_and_escapes_names():
    page = render(RUN, series=[series([1, 1, 1, 2, 2, 2], changes=[Change(3, 1.0, 0.0)])])
    section = page[page.index('<section id="history">') : page.index('<section id="environment">')]
    assert section.count("<circle") == 6
    assert section.count("<line ") == 1
    assert "<h3>linear/&lt;b&gt; B1 T64" in section
    points = re.search(r'points="([^"]*)"', section).group(1).split()
    assert len(points) == 6
    assert all(math.isfinite(float(part)) for point in points for part in point.split(","))
    assert '<a href="#history">' in page


def test_a_page_without_earlier_runs_has_no_history_section():
    page = render(RUN)
    assert "#history" not in page
    assert '<section id="history">' not in page
