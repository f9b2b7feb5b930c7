"""Means: geometric means of speed-ups and the points that they include, as text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from linbench.analysis.mean import geometric_means
from linbench.analysis.panel import Panel
from linbench.report import words
from linbench.text.format import count, listing, plural, ratio_interval

SHARED_SETTINGS = ("mode", "dtype", "device", "options")


@dataclass(frozen=True)
class Mean:
    """Geometric means of speed-ups over the panels of one mode, dtype, device and set of options.

    Attributes:
        label: The settings that the panels share.
        baseline: The implementation that the speed-ups are relative to.
        speedups: The implementations, the fastest first, with the mean and its interval as text.
        over: One sentence on the number of points of the mean, or on why there is none.
        points: The points, one line per panel.
        lost: The number of excluded points at which an implementation has no time, one sentence each.
    """

    label: str
    baseline: str
    speedups: tuple[tuple[str, str], ...]
    over: str
    points: tuple[str, ...]
    lost: tuple[str, ...]


def groups_of_shapes(run_panels: Sequence[Panel]) -> list[list[Panel]]:
    """Return the panels in groups that differ only in shapes."""
    groups: dict[tuple[str, ...], list[Panel]] = defaultdict(list)
    for panel in run_panels:
        groups[tuple(panel.settings[name] for name in SHARED_SETTINGS)].append(panel)
    return list(groups.values())


def means(run_panels: Sequence[Panel], baseline: str | None) -> list[Mean]:
    """Return the means of each group of panels with times of the baseline and of another implementation."""
    return [
        _mean(group, baseline)
        for group in groups_of_shapes(run_panels)
        if baseline is not None
        and any(baseline in panel.series for panel in group)
        and len({name for panel in group for name in panel.series}) > 1
    ]


def _mean(group: Sequence[Panel], baseline: str) -> Mean:
    result = geometric_means(group, baseline)
    names = {name for panel in group for name in panel.series}
    axis = group[0].axis
    by_panel: dict[int, list[str]] = defaultdict(list)
    for index, x in result.points:
        by_panel[index].append(count(x))
    absent = Counter(name for missing in result.lost.values() for name in missing)
    total = len(result.points) + len(result.lost)
    condition = f"all {len(names)} implementations have a time"
    over = (
        f"Mean over {len(result.points):,} of {plural(total, 'point')}, at which {condition}."
        if result.points
        else f"No mean: there is no point at which {condition}."
    )
    ranking = sorted(result.speedups.items(), key=lambda item: -item[1].value)
    return Mean(
        label=words.label({name: group[0].settings[name] for name in SHARED_SETTINGS}),
        baseline=baseline,
        speedups=tuple((name, ratio_interval(mean.value, mean.low, mean.high)) for name, mean in ranking),
        over=over,
        points=tuple(
            f"{words.label(group[index].settings)}: {axis} = {listing(xs)}" for index, xs in by_panel.items()
        ),
        lost=tuple(
            f"{name} has no time at {plural(number, 'point')}." for name, number in absent.most_common()
        ),
    )
