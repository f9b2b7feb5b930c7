"""Means: geometric means of speed-ups, with the points over which they were taken, in words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from linbench.analysis.mean import geometric_means
from linbench.analysis.panel import Panel
from linbench.report import words
from linbench.text.format import count, listing, plural, ratio_interval

ALIKE = ("mode", "dtype", "device", "options")


@dataclass(frozen=True)
class Mean:
    """Geometric means of speed-ups over the panels of one mode, dtype, device and set of options.

    Attributes:
        label: What the panels have in common.
        baseline: What the speed-ups are over.
        speedups: Implementations, the fastest first, with the mean and its interval as text.
        over: How many points the mean is over, or why there is none, a sentence.
        points: The points, a line a panel.
        lost: Who has no time at how many of the other points, a sentence each.
    """

    label: str
    baseline: str
    speedups: tuple[tuple[str, str], ...]
    over: str
    points: tuple[str, ...]
    lost: tuple[str, ...]


def alike(found: Sequence[Panel]) -> list[list[Panel]]:
    """Return the panels in groups that differ in shapes only."""
    groups: dict[tuple[str, ...], list[Panel]] = defaultdict(list)
    for panel in found:
        groups[tuple(panel.settings[name] for name in ALIKE)].append(panel)
    return list(groups.values())


def means(found: Sequence[Panel], baseline: str | None) -> list[Mean]:
    """Return the means of each group of panels in which the baseline and another have a time."""
    return [
        _mean(group, baseline)
        for group in alike(found)
        if baseline is not None
        and any(baseline in panel.series for panel in group)
        and len({name for panel in group for name in panel.series}) > 1
    ]


def _mean(group: Sequence[Panel], baseline: str) -> Mean:
    taken = geometric_means(group, baseline)
    names = {name for panel in group for name in panel.series}
    axis = group[0].axis
    by_panel: dict[int, list[str]] = defaultdict(list)
    for place, x in taken.points:
        by_panel[place].append(count(x))
    absent = Counter(name for missing in taken.lost.values() for name in missing)
    total = len(taken.points) + len(taken.lost)
    every = f"all {len(names)} have a time"
    over = (
        f"Over the {plural(len(taken.points), 'point')} of {count(total)} at which {every}."
        if taken.points
        else f"There is none: {every} at no point."
    )
    ranked = sorted(taken.speedups.items(), key=lambda item: -item[1].value)
    return Mean(
        label=words.label({name: group[0].settings[name] for name in ALIKE}),
        baseline=baseline,
        speedups=tuple((name, ratio_interval(one.value, one.low, one.high)) for name, one in ranked),
        over=over,
        points=tuple(
            f"{words.label(group[place].settings)}: {axis} = {listing(xs)}" for place, xs in by_panel.items()
        ),
        lost=tuple(
            f"{name} has no time at {plural(number, 'point')}" for name, number in absent.most_common()
        ),
    )
