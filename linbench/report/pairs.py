"""Pairs: the rows that two runs share, with both results, for the figures and the table of a page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from linbench.analysis.panel import Panel
from linbench.analysis.quantity import Value
from linbench.analysis.ruler import even_rulers, log_rulers
from linbench.compare.stored import Suspicion
from linbench.core.measurement import FAILURES, Measurement
from linbench.report import words
from linbench.report.drawing import AxisText, Rows, axis_texts
from linbench.report.figure import AXES, Figure
from linbench.report.style import Style, styles
from linbench.report.table import Column, Listing, time_text
from linbench.report.values import NOT_TIMED, DisplayValue, Values, columns, ends, without_interval
from linbench.text import format

RATIO: Final = Figure(
    "ratio",
    "Time of B over time of A",
    "Above 1, B is slower. Bars: the range that both intervals allow. Filled: suspect; hollow: no sign of "
    "a change.",
    y_title="time of B / time of A",
)
MISSING: Final = "\u2013"
TIMES: Final = Figure(
    "times",
    "Times of A and B",
    "A dashed and hollow, B solid. Median of one call with its 95% interval; lower is better.",
    y_title="time of one call",
)


@dataclass(frozen=True)
class Side:
    """The times of one run.

    Attributes:
        name: A or B.
        values: The time of the side in each pair.
        flags: The flags of each row.
    """

    name: str
    values: Values
    flags: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class PairPanel:
    """Pairs that differ only in the implementation and in the axis.

    Attributes:
        label: The settings that the pairs share, as one line.
        rows: The numbers of the pairs.
        xs: The values of the axis, ascending.
    """

    label: str
    rows: tuple[int, ...]
    xs: tuple[int, ...]


@dataclass(frozen=True)
class Pairs:
    """The data that the script of a page of two runs draws; a pair is identified by its number.

    Attributes:
        axis: The x axis of the figures.
        axis_texts: The text of each value of the axis.
        implementations: The style of each implementation.
        figures: The figures of the page.
        rows: The columns that every figure and list uses.
        panels: The panels.
        ratio: The time of B over that of A.
        suspect: Whether the ratio suggests a change.
        times: The longer of the two times, where both sides have one.
        sides: A and B.
        listing: The table of pairs, the largest ratio first.
    """

    axis: str
    axis_texts: Mapping[int, AxisText]
    implementations: tuple[Style, ...]
    figures: tuple[Figure, ...]
    rows: Rows
    panels: tuple[PairPanel, ...]
    ratio: Values
    suspect: tuple[bool, ...]
    times: Values
    sides: tuple[Side, Side]
    listing: Listing


def pairs(suspicions: Sequence[Suspicion], pair_panels: Sequence[Panel]) -> Pairs:
    """Return the data that the script of a page of two runs draws.

    Args:
        suspicions: The comparisons of the shared rows, in the order of the panels' table.
        pair_panels: The panels of their cases.
    """
    axis = pair_panels[0].axis
    names = sorted({suspicion.b.implementation for suspicion in suspicions})
    ratio = columns(map(_ratio, suspicions))
    a, b = (_side(name, [getattr(suspicion, name.lower()) for suspicion in suspicions]) for name in "AB")
    ratios = [1.0, *ends(ratio.y, ratio.low, ratio.high)]
    time_ends = [end for side in (a, b) for end in ends(side.values.y, side.values.low, side.values.high)]
    return Pairs(
        axis=axis,
        axis_texts=axis_texts(x for panel in pair_panels for x in panel.xs),
        implementations=styles(names),
        figures=(
            replace(
                RATIO,
                x_title=AXES[axis],
                y_rulers=(*even_rulers(ratios, format.ratio), *log_rulers(ratios, format.ratio)),
            ),
            replace(TIMES, x_title=AXES[axis], y_rulers=log_rulers(time_ends, format.seconds)),
        ),
        rows=_rows(suspicions, names, axis),
        panels=tuple(
            PairPanel(words.label(panel.settings), tuple(map(int, panel.rows.index)), tuple(panel.xs))
            for panel in pair_panels
        ),
        ratio=ratio,
        suspect=tuple(suspicion.answer == "suspect" for suspicion in suspicions),
        times=columns(map(_times, suspicions)),
        sides=(a, b),
        listing=_listing(suspicions),
    )


def _rows(suspicions: Sequence[Suspicion], names: Sequence[str], axis: str) -> Rows:
    return Rows(
        implementation=tuple(names.index(suspicion.b.implementation) for suspicion in suspicions),
        x=tuple(getattr(suspicion.b.case, axis) for suspicion in suspicions),
        status=tuple(_change(suspicion, lambda row: str(row.status)) for suspicion in suspicions),
        reason=tuple("; ".join(_texts_of_sides(suspicion, _reasons)) for suspicion in suspicions),
        flags=tuple(tuple(_texts_of_sides(suspicion, lambda row: row.flags)) for suspicion in suspicions),
        failed=tuple(bool({suspicion.a.status, suspicion.b.status} & FAILURES) for suspicion in suspicions),
    )


def _texts_of_sides(suspicion: Suspicion, texts: Callable[[Measurement], Sequence[str]]) -> list[str]:
    """Return texts of both sides, each prefixed with the name of its side."""
    return [f"{name} {text}" for name, row in (("A", suspicion.a), ("B", suspicion.b)) for text in texts(row)]


def _reasons(row: Measurement) -> list[str]:
    return [f"{row.status}: {row.reason}"] if row.reason else []


def _change(suspicion: Suspicion, text: Callable[[Measurement], str]) -> str:
    """Return the texts of both sides as one text; a single text if they are equal."""
    a, b = text(suspicion.a), text(suspicion.b)
    return a if a == b else f"{a or MISSING} \u2192 {b or MISSING}"


def _ratio(suspicion: Suspicion) -> DisplayValue:
    if suspicion.effect is None:
        is_timed = suspicion.a.time and suspicion.b.time
        return "no ratio: a time is zero, or the timers differ" if is_timed else "not timed in both runs"
    return _ratio_value(suspicion), f"{_ratio_text(suspicion)}, {suspicion.answer}"


def _ratio_value(suspicion: Suspicion) -> Value:
    value, low, high = (
        math.nan if change is None else 1 + change
        for change in (suspicion.effect, suspicion.low, suspicion.high)
    )
    return value, low, high


def _ratio_text(suspicion: Suspicion) -> str:
    return "" if suspicion.effect is None else format.ratio_interval(*_ratio_value(suspicion))


def _times(suspicion: Suspicion) -> DisplayValue:
    timed_sides = [(name, row) for name, row in (("A", suspicion.a), ("B", suspicion.b)) if row.time]
    text = ", ".join(f"{name} {time_text(row)}" for name, row in timed_sides)
    if len(timed_sides) < 2 or {suspicion.a.status, suspicion.b.status} & FAILURES:
        return text or NOT_TIMED
    return without_interval(max(row.time.median_s for _, row in timed_sides if row.time), text)


def _side(name: str, rows: Sequence[Measurement]) -> Side:
    cells: list[DisplayValue] = [
        (
            (row.time.median_s, row.time.ci_low_s, row.time.ci_high_s),
            f"{name}: {time_text(row)}, n = {row.time.n}",
        )
        if row.time
        else NOT_TIMED
        for row in rows
    ]
    return Side(name, columns(cells), tuple(row.flags for row in rows))


def _memory(row: Measurement) -> str:
    return f"{format.size(row.memory.extra_bytes)} ({row.memory.meter})" if row.memory else ""


def _error(row: Measurement) -> str:
    if row.worst_tensor is None:
        return ""
    error = row.errors[row.worst_tensor].rel_l2
    return f"{row.worst_tensor} {format.digits(error) if math.isfinite(error) else 'not finite'}"


def _listing(suspicions: Sequence[Suspicion]) -> Listing:
    """Return the table of pairs."""

    def column(heading: str, kind: str, text: Callable[[Suspicion], str]) -> Column:
        return Column(heading, kind, tuple(map(text, suspicions)))

    cases = {
        case: number
        for number, case in enumerate(dict.fromkeys(suspicion.b.case for suspicion in suspicions))
    }
    return Listing(
        columns=(
            column("Implementation", "name", lambda suspicion: suspicion.b.implementation),
            column("Case", "value", lambda suspicion: str(suspicion.b.case)),
            column("Time B / time A [range]", "value", _ratio_text),
            column("Result", "plain", lambda suspicion: suspicion.answer),
            column("Time A [95% CI]", "value", lambda suspicion: time_text(suspicion.a)),
            column("Time B [95% CI]", "value", lambda suspicion: time_text(suspicion.b)),
            column("Memory", "value", lambda suspicion: _change(suspicion, _memory)),
            column("Worst error", "value", lambda suspicion: _change(suspicion, _error)),
            column(
                "Flags",
                "flags",
                lambda suspicion: ", ".join(_texts_of_sides(suspicion, lambda row: row.flags)),
            ),
            column("Status", "status", lambda suspicion: _change(suspicion, lambda row: str(row.status))),
            column("Reason", "reason", lambda suspicion: "; ".join(_texts_of_sides(suspicion, _reasons))),
        ),
        search=tuple(map(str, cases)),
        row_case=tuple(cases[suspicion.b.case] for suspicion in suspicions),
        order=tuple(sorted(range(len(suspicions)), key=lambda number: -_rank(suspicions[number]))),
    )


def _rank(suspicion: Suspicion) -> float:
    return -1.0 if suspicion.effect is None else 1 + suspicion.effect
