"""Panel: the rows that figures show at a time, and what was found of them: speed-ups, fronts, reach."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from linbench.analysis.capacity import Capacity, capacities
from linbench.analysis.panel import Panel
from linbench.analysis.quantity import values
from linbench.core.measurement import Status
from linbench.report import words
from linbench.report.families import fastest
from linbench.report.means import ALIKE
from linbench.report.slices import fronts
from linbench.report.values import Errors, Numbers, rounded
from linbench.text import format

MOST_BASELINES: Final = 24
"""Over so many implementations a page holds speed-ups at most: their number is that of rows times this."""

STRONGEST: Final = 4
"""Heat beyond this is not told apart: a speed-up of 4, or a quarter."""


@dataclass(frozen=True)
class Speedups:
    """The speed-up of each row of a panel over one baseline, in columns.

    Attributes:
        y: The speed-up; None where there is none.
        low: Low ends of the intervals.
        high: High ends.
        ratio: The speed-up in words.
        interval: Its interval in words.
        heat: Twice its binary logarithm, whole, from -4 to 4; None where there is no speed-up.
    """

    y: Numbers
    low: Numbers
    high: Numbers
    ratio: tuple[str, ...]
    interval: tuple[str, ...]
    heat: tuple[int | None, ...]


@dataclass(frozen=True)
class Reach:
    """How far an implementation gets along the axis before it is out of memory.

    Attributes:
        implementation: Its number.
        largest: The largest value at which it was ok; None if there is none.
        refused: The smallest at which it was out of memory, or predicted to be; None if there is none.
        end: What stands at the end of its bar.
        text: All of it in words.
        cells: The largest, the refused and the reason, for a table.
    """

    implementation: int
    largest: int | None
    refused: int | None
    end: str
    text: str
    cells: tuple[str, str, str]


@dataclass(frozen=True)
class ShownPanel:
    """Rows that differ in the implementation and in the axis.

    Attributes:
        label: What is the same in all of them, as one line.
        settings: The same, by name.
        rows: Their numbers in the run.
        xs: Values of the axis, ascending.
        at: The one with which figures of one value begin: the last at which most were timed.
        fastest: Numbers of the implementations of which each is the fastest of its operator.
        tensors: Those whose error is known.
        speedups: By number of the baseline, where it has a time here.
        fronts: By tensor, rows that no other is as quick and as exact as; the quickest first.
        reach: How far each implementation gets, the least far first.
    """

    label: str
    settings: Mapping[str, str]
    rows: tuple[int, ...]
    xs: tuple[int, ...]
    at: int
    fastest: tuple[int, ...]
    tensors: tuple[str, ...]
    speedups: Mapping[int, Speedups]
    fronts: Mapping[str, tuple[int, ...]]
    reach: tuple[Reach, ...]


@dataclass(frozen=True)
class HeatGroup:
    """Panels that differ in shapes only, which one table of speed-ups shows.

    Attributes:
        label: What is the same in all of them.
        corner: What stands at the head of its first column.
        panels: Their numbers.
        shapes: What tells each apart.
        xs: Values of the axis, ascending.
    """

    label: str
    corner: str
    panels: tuple[int, ...]
    shapes: tuple[str, ...]
    xs: tuple[int, ...]


def baselines(found: Sequence[Panel], names: Sequence[str], chosen: str | None) -> tuple[int, ...]:
    """Return the implementations that speed-ups can be over, by number.

    All of them where they are few; otherwise the one that was chosen, each that is the fastest of its
    operator in a panel, and those with the most times.

    Args:
        found: The panels.
        names: The implementations of the run, by number.
        chosen: What speed-ups begin with.
    """
    leading = {name for panel in found for name in fastest(panel).values()}
    times = Counter(name for panel in found for name, series in panel.series.items() for _ in series)
    ranked = sorted(names, key=lambda name: (name != chosen, name not in leading, -times[name]))
    return tuple(sorted(names.index(name) for name in ranked[:MOST_BASELINES]))


def shown_panel(
    panel: Panel, names: Sequence[str], over: Sequence[int], errors: Mapping[str, Errors]
) -> ShownPanel:
    """Return a panel as figures show it.

    Args:
        panel: The panel.
        names: The implementations of the run, by number.
        over: Those that speed-ups can be over.
        errors: By tensor, of every row of the run.
    """
    numbers = tuple(int(number) for number in panel.rows.index)
    tensors = tuple(
        tensor
        for tensor, error in errors.items()
        if tensor and any(error.tolerance[n] is not None for n in numbers)
    )
    timed = Counter(panel.rows.loc[panel.rows["status"] == Status.OK, panel.axis])
    most = max(timed.values(), default=0)
    return ShownPanel(
        label=words.label(panel.settings),
        settings=panel.settings,
        rows=numbers,
        xs=tuple(panel.xs),
        at=max(x for x in panel.xs if timed[x] == most),
        fastest=tuple(names.index(name) for name in fastest(panel).values()),
        tensors=tensors,
        speedups={
            number: _speedups(panel, names[number]) for number in over if names[number] in panel.series
        },
        fronts=fronts(panel, {tensor: errors[tensor] for tensor in ("", *tensors)}),
        reach=_reach(panel, names),
    )


def heat_groups(groups: Sequence[Sequence[Panel]], found: Sequence[Panel]) -> tuple[HeatGroup, ...]:
    """Return the groups of panels that differ in shapes only, as the tables of speed-ups show them."""
    number = {id(panel): place for place, panel in enumerate(found)}
    return tuple(_heat_group(group, [number[id(panel)] for panel in group]) for group in groups)


def _heat_group(group: Sequence[Panel], numbers: Sequence[int]) -> HeatGroup:
    first = group[0].settings
    varying = [name for name in first if len({panel.settings[name] for panel in group}) > 1]
    return HeatGroup(
        label=" · ".join(first[name] for name in ALIKE if first[name]),
        corner=f"{', '.join(varying)} \\ {group[0].axis}",
        panels=tuple(numbers),
        shapes=tuple(
            " · ".join(f"{name} {panel.settings[name]}" for name in varying) or "all" for panel in group
        ),
        xs=tuple(sorted({x for panel in group for x in panel.xs})),
    )


def _speedups(panel: Panel, baseline: str) -> Speedups:
    found = values(panel.rows, "speedup", (panel.axis,), baseline)
    y, low, high = zip(*found, strict=True)
    # A baseline is 1 times as fast as itself, for certain.
    ends = [(value, value) if math.isnan(one) else (one, other) for value, one, other in found]
    return Speedups(
        tuple(map(rounded, y)),
        tuple(map(rounded, low)),
        tuple(map(rounded, high)),
        tuple("" if math.isnan(value) else format.ratio(value) for value in y),
        tuple("" if math.isnan(low) else format.interval(low, high) for low, high in ends),
        tuple(map(_heat, y)),
    )


def _heat(ratio: float) -> int | None:
    if not 0 < ratio < math.inf:
        return None
    return max(-STRONGEST, min(STRONGEST, round(2 * math.log2(ratio))))


def _reach(panel: Panel, names: Sequence[str]) -> tuple[Reach, ...]:
    known = [one for one in capacities(panel) if (one.largest or one.refused) is not None]
    known.sort(key=lambda one: (one.largest or 0, math.inf if one.refused is None else one.refused))
    return tuple(_reached(one, panel.axis, names.index(one.implementation)) for one in known)


def _reached(one: Capacity, axis: str, number: int) -> Reach:
    largest = "none" if one.largest is None else format.count(one.largest)
    if one.refused is None:
        end = f"\u2265 {format.short_count(one.largest or 0)}"
        text, refused = f"never out of memory here, ok up to {largest}", "never here"
    else:
        end, refused = f"\u00a0{format.short_count(one.refused)}", format.count(one.refused)
        text = f"not at {axis} = {refused}: {one.reason}"
    return Reach(number, one.largest, one.refused, end, text, (largest, refused, one.reason or "\u2013"))
