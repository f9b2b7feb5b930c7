"""Pairs: the rows that two runs share, A's beside B's, as a page draws and lists them."""

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
from linbench.report.values import NOT_TIMED, Shown, Values, columns, ends, plain
from linbench.text import format

RATIO: Final = Figure(
    "ratio",
    "Time of B over time of A",
    "Above 1 B takes longer; with what both intervals allow. Filled: suspect; hollow: no sign.",
    y_title="time of B / time of A",
)
MISSING: Final = "\u2013"
BOTH: Final = Figure(
    "both",
    "Time of both",
    "A dashed and hollow, B solid; median of one call with its 95% interval; lower is better.",
    y_title="time of one call",
)


@dataclass(frozen=True)
class Side:
    """The times of one run.

    Attributes:
        name: A or B.
        values: What is drawn of each pair.
        flags: What lowers trust in each row.
    """

    name: str
    values: Values
    flags: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class PairPanel:
    """Pairs that differ in the implementation and in the axis.

    Attributes:
        label: What is the same in all of them, as one line.
        rows: Their numbers.
        xs: Values of the axis, ascending.
    """

    label: str
    rows: tuple[int, ...]
    xs: tuple[int, ...]


@dataclass(frozen=True)
class Pairs:
    """What the script of a page of two runs draws from; a pair is named by its number.

    Attributes:
        axis: What stands along the figures.
        axis_texts: By value of the axis, how it is written.
        implementations: How each is drawn.
        figures: What there is to draw.
        rows: What every figure and list needs of each pair.
        panels: Which pairs are shown at a time.
        ratio: The time of B over that of A.
        suspect: Whether the ratio is a sign of a change.
        both: Where a pair has a time.
        sides: A and B.
        listing: The pairs as they are listed, the largest ratio first.
    """

    axis: str
    axis_texts: Mapping[int, AxisText]
    implementations: tuple[Style, ...]
    figures: tuple[Figure, ...]
    rows: Rows
    panels: tuple[PairPanel, ...]
    ratio: Values
    suspect: tuple[bool, ...]
    both: Values
    sides: tuple[Side, Side]
    listing: Listing


def pairs(found: Sequence[Suspicion], shown: Sequence[Panel]) -> Pairs:
    """Return what the script of a page of two runs draws from.

    Args:
        found: What the rows that both have say, in the order of the panels' table.
        shown: The panels of their cases.
    """
    axis = shown[0].axis
    names = sorted({each.b.implementation for each in found})
    ratio = columns(map(_ratio, found))
    a, b = (_side(name, [getattr(each, name.lower()) for each in found]) for name in "AB")
    ratios = [1.0, *ends(ratio.y, ratio.low, ratio.high)]
    times = [end for side in (a, b) for end in ends(side.values.y, side.values.low, side.values.high)]
    return Pairs(
        axis=axis,
        axis_texts=axis_texts(x for panel in shown for x in panel.xs),
        implementations=styles(names),
        figures=(
            replace(
                RATIO,
                x_title=AXES[axis],
                y_rulers=(*even_rulers(ratios, format.ratio), *log_rulers(ratios, format.ratio)),
            ),
            replace(BOTH, x_title=AXES[axis], y_rulers=log_rulers(times, format.seconds)),
        ),
        rows=_rows(found, names, axis),
        panels=tuple(
            PairPanel(words.label(panel.settings), tuple(map(int, panel.rows.index)), tuple(panel.xs))
            for panel in shown
        ),
        ratio=ratio,
        suspect=tuple(each.answer == "suspect" for each in found),
        both=columns(map(_both, found)),
        sides=(a, b),
        listing=_listing(found),
    )


def _rows(found: Sequence[Suspicion], names: Sequence[str], axis: str) -> Rows:
    return Rows(
        implementation=tuple(names.index(each.b.implementation) for each in found),
        x=tuple(getattr(each.b.case, axis) for each in found),
        status=tuple(_change(each, lambda row: str(row.status)) for each in found),
        reason=tuple("; ".join(_of_both(each, _reasons)) for each in found),
        flags=tuple(tuple(_of_both(each, lambda row: row.flags)) for each in found),
        failed=tuple(bool({each.a.status, each.b.status} & FAILURES) for each in found),
    )


def _of_both(found: Suspicion, texts: Callable[[Measurement], Sequence[str]]) -> list[str]:
    """Return texts of both sides, each after the name of its side."""
    return [f"{name} {text}" for name, row in (("A", found.a), ("B", found.b)) for text in texts(row)]


def _reasons(row: Measurement) -> list[str]:
    return [f"{row.status}: {row.reason}"] if row.reason else []


def _change(found: Suspicion, text: Callable[[Measurement], str]) -> str:
    """Return what is said of both sides: one text if they say the same."""
    one, other = text(found.a), text(found.b)
    return one if one == other else f"{one or MISSING} \u2192 {other or MISSING}"


def _ratio(found: Suspicion) -> Shown:
    if found.effect is None:
        is_timed = found.a.time and found.b.time
        return (
            "its times are zero, or were taken with different timers"
            if is_timed
            else "it was not timed in both"
        )
    return _ratio_value(found), f"{_ratio_text(found)}, {found.answer}"


def _ratio_value(found: Suspicion) -> Value:
    value, low, high = (
        math.nan if change is None else 1 + change for change in (found.effect, found.low, found.high)
    )
    return value, low, high


def _ratio_text(found: Suspicion) -> str:
    return "" if found.effect is None else format.ratio_interval(*_ratio_value(found))


def _both(found: Suspicion) -> Shown:
    timed = [(name, row) for name, row in (("A", found.a), ("B", found.b)) if row.time]
    text = ", ".join(f"{name} {time_text(row)}" for name, row in timed)
    if len(timed) < 2 or {found.a.status, found.b.status} & FAILURES:
        return text or NOT_TIMED
    return plain(max(row.time.median_s for _, row in timed if row.time), text)


def _side(name: str, rows: Sequence[Measurement]) -> Side:
    shown: list[Shown] = [
        (
            (row.time.median_s, row.time.ci_low_s, row.time.ci_high_s),
            f"{name}: {time_text(row)}, n = {row.time.n}",
        )
        if row.time
        else NOT_TIMED
        for row in rows
    ]
    return Side(name, columns(shown), tuple(row.flags for row in rows))


def _memory(row: Measurement) -> str:
    return f"{format.size(row.memory.extra_bytes)} ({row.memory.meter})" if row.memory else ""


def _error(row: Measurement) -> str:
    if row.worst_tensor is None:
        return ""
    error = row.errors[row.worst_tensor].rel_l2
    return f"{row.worst_tensor} {format.digits(error) if math.isfinite(error) else 'not finite'}"


def _listing(found: Sequence[Suspicion]) -> Listing:
    """Return the pairs as they are listed."""

    def column(heading: str, kind: str, text: Callable[[Suspicion], str]) -> Column:
        return Column(heading, kind, tuple(map(text, found)))

    cases = {case: number for number, case in enumerate(dict.fromkeys(each.b.case for each in found))}
    return Listing(
        columns=(
            column("Implementation", "name", lambda each: each.b.implementation),
            column("Case", "value", lambda each: str(each.b.case)),
            column("B / A [allowed]", "value", _ratio_text),
            column("Says", "plain", lambda each: each.answer),
            column("Time A [95%]", "value", lambda each: time_text(each.a)),
            column("Time B [95%]", "value", lambda each: time_text(each.b)),
            column("Memory", "value", lambda each: _change(each, _memory)),
            column("Worst error", "value", lambda each: _change(each, _error)),
            column("Flags", "flags", lambda each: ", ".join(_of_both(each, lambda row: row.flags))),
            column("Status", "status", lambda each: _change(each, lambda row: str(row.status))),
            column("Reason", "reason", lambda each: "; ".join(_of_both(each, _reasons))),
        ),
        search=tuple(map(str, cases)),
        row_case=tuple(cases[each.b.case] for each in found),
        order=tuple(sorted(range(len(found)), key=lambda number: -_rank(found[number]))),
    )


def _rank(found: Suspicion) -> float:
    return -1.0 if found.effect is None else 1 + found.effect
