"""Panel: the rows that figures show at a time, with their speed-ups, Pareto fronts and capacities."""

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
from linbench.report.means import SHARED_SETTINGS
from linbench.report.slices import fronts
from linbench.report.values import Errors, Numbers, rounded
from linbench.text import format

MOST_BASELINES: Final = 24
"""The maximum number of baselines of a page: it holds this many speed-ups per row."""

STRONGEST: Final = 4
"""The strongest shade of the heatmap, for a speed-up of at least 4 or at most a quarter."""


@dataclass(frozen=True)
class Speedups:
    """The speed-up of each row of a panel over one baseline, in columns.

    Attributes:
        y: The speed-up; None where there is none.
        low: Low ends of the intervals.
        high: High ends of the intervals.
        ratio: The speed-up as text.
        interval: The interval as text.
        heat: Twice the binary logarithm of the speed-up, rounded, from -4 to 4; None where there is none.
    """

    y: Numbers
    low: Numbers
    high: Numbers
    ratio: tuple[str, ...]
    interval: tuple[str, ...]
    heat: tuple[int | None, ...]


@dataclass(frozen=True)
class Reach:
    """The capacity of an implementation, as a bar and as a line of a table.

    Attributes:
        implementation: The number of the implementation.
        largest: The largest value of the axis with status ok; None if there is none.
        refused: The smallest value at which it was out of memory, or predicted to be; None if there is none.
        end: The label at the end of the bar.
        text: The description of the bar.
        cells: `largest`, `refused` and the reason, for a table.
    """

    implementation: int
    largest: int | None
    refused: int | None
    end: str
    text: str
    cells: tuple[str, str, str]


@dataclass(frozen=True)
class PanelView:
    """Rows that differ only in the implementation and in the axis.

    Attributes:
        label: The settings that the rows share, as one line.
        settings: The settings that the rows share, by name.
        rows: The numbers of the rows in the run.
        xs: The values of the axis, ascending.
        at: The initial value of figures at a single value: the largest at which most rows were timed.
        fastest: The numbers of the fastest implementation of each operator.
        tensors: The tensors with a known error.
        speedups: The speed-ups, by number of the baseline, for baselines with a time in this panel.
        fronts: The rows of the Pareto front of time and error, by tensor; the fastest first.
        reach: The capacity of each implementation, ascending.
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
    """Panels that differ only in shapes, which share one table of speed-ups.

    Attributes:
        label: The settings that the panels share.
        corner: The heading of the first column.
        panels: The numbers of the panels.
        shapes: The shape of each panel.
        xs: The values of the axis, ascending.
    """

    label: str
    corner: str
    panels: tuple[int, ...]
    shapes: tuple[str, ...]
    xs: tuple[int, ...]


def baselines(run_panels: Sequence[Panel], names: Sequence[str], initial: str | None) -> tuple[int, ...]:
    """Return the numbers of the implementations that can be the baseline of speed-ups.

    All of them if they are few; otherwise the initial baseline, the fastest implementation of each operator
    in each panel, and those with the most times.

    Args:
        run_panels: The panels.
        names: The implementations of the run, by number.
        initial: The initial baseline.
    """
    leaders = {name for panel in run_panels for name in fastest(panel).values()}
    times = Counter(name for panel in run_panels for name, series in panel.series.items() for _ in series)
    ranking = sorted(names, key=lambda name: (name != initial, name not in leaders, -times[name]))
    return tuple(sorted(names.index(name) for name in ranking[:MOST_BASELINES]))


def panel_view(
    panel: Panel, names: Sequence[str], baseline_numbers: Sequence[int], errors: Mapping[str, Errors]
) -> PanelView:
    """Return the data of a panel that figures show.

    Args:
        panel: The panel.
        names: The implementations of the run, by number.
        baseline_numbers: The numbers of the available baselines.
        errors: The errors of every row of the run, by tensor.
    """
    numbers = tuple(int(number) for number in panel.rows.index)
    tensors = tuple(
        tensor
        for tensor, error in errors.items()
        if tensor and any(error.tolerance[n] is not None for n in numbers)
    )
    timed_counts = Counter(panel.rows.loc[panel.rows["status"] == Status.OK, panel.axis])
    most = max(timed_counts.values(), default=0)
    return PanelView(
        label=words.label(panel.settings),
        settings=panel.settings,
        rows=numbers,
        xs=tuple(panel.xs),
        at=max(x for x in panel.xs if timed_counts[x] == most),
        fastest=tuple(names.index(name) for name in fastest(panel).values()),
        tensors=tensors,
        speedups={
            number: _speedups(panel, names[number])
            for number in baseline_numbers
            if names[number] in panel.series
        },
        fronts=fronts(panel, {tensor: errors[tensor] for tensor in ("", *tensors)}),
        reach=_reach(panel, names),
    )


def heat_groups(groups: Sequence[Sequence[Panel]], run_panels: Sequence[Panel]) -> tuple[HeatGroup, ...]:
    """Return the groups of panels that differ only in shapes, one per table of speed-ups."""
    numbers = {id(panel): number for number, panel in enumerate(run_panels)}
    return tuple(_heat_group(group, [numbers[id(panel)] for panel in group]) for group in groups)


def _heat_group(group: Sequence[Panel], numbers: Sequence[int]) -> HeatGroup:
    first = group[0].settings
    varying = [name for name in first if len({panel.settings[name] for panel in group}) > 1]
    return HeatGroup(
        label=" · ".join(first[name] for name in SHARED_SETTINGS if first[name]),
        corner=f"{', '.join(varying)} \\ {group[0].axis}",
        panels=tuple(numbers),
        shapes=tuple(
            " · ".join(f"{name} {panel.settings[name]}" for name in varying) or "all" for panel in group
        ),
        xs=tuple(sorted({x for panel in group for x in panel.xs})),
    )


def _speedups(panel: Panel, baseline: str) -> Speedups:
    ratios = values(panel.rows, "speedup", (panel.axis,), baseline)
    y, low, high = zip(*ratios, strict=True)
    # The speed-up of a baseline over itself is exactly 1.
    ends = [(value, value) if math.isnan(start) else (start, end) for value, start, end in ratios]
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
    limits = [
        capacity for capacity in capacities(panel) if (capacity.largest or capacity.refused) is not None
    ]
    limits.sort(key=lambda limit: (limit.largest or 0, math.inf if limit.refused is None else limit.refused))
    return tuple(_reach_of(limit, panel.axis, names.index(limit.implementation)) for limit in limits)


def _reach_of(capacity: Capacity, axis: str, number: int) -> Reach:
    largest = "none" if capacity.largest is None else format.count(capacity.largest)
    if capacity.refused is None:
        end = f"\u2265 {format.short_count(capacity.largest or 0)}"
        text, refused = f"never out of memory in this panel, ok up to {largest}", "never"
    else:
        end, refused = f"\u00a0{format.short_count(capacity.refused)}", format.count(capacity.refused)
        text = f"out of memory at {axis} = {refused}: {capacity.reason}"
    return Reach(
        number, capacity.largest, capacity.refused, end, text, (largest, refused, capacity.reason or "\u2013")
    )
