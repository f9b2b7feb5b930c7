"""Mean: geometric means of speed-ups over the points at which every implementation has a time."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from linbench.analysis.panel import Panel
from linbench.core.errors import UsageError, unknown
from linbench.statistics.estimate import Estimate, product

Point = tuple[int, int]
"""The index of a panel in the given sequence, and a value of its axis."""


@dataclass(frozen=True)
class Means:
    """Geometric means of speed-ups over the common feasible set.

    Attributes:
        baseline: The implementation that speed-ups are relative to.
        points: The common feasible set: the points at which every compared implementation has a time.
        lost: The implementations without a time, for each point at which only some have a time.
        speedups: The geometric mean of the speed-ups over `points`, by implementation; empty if there are no
            points.
    """

    baseline: str
    points: tuple[Point, ...]
    lost: Mapping[Point, tuple[str, ...]]
    speedups: Mapping[str, Estimate]


def geometric_means(
    panels: Sequence[Panel], baseline: str, implementations: Sequence[str] | None = None
) -> Means:
    """Return the geometric mean of each implementation's speed-ups over a baseline, with a 95% interval.

    (prod_i baseline_i / time_i)^(1/n) over the n points at which the baseline and every implementation have
    a time, so that none gains by failing where it would have been slow.

    The interval follows from those of the times (`product`, with pooled degrees of freedom). Each row of the
    table is one independent measurement: a time of the baseline that several points share, because it has no
    options, is a shared error, and counts once with the sum of its powers. Deviations that rows share are not
    known: what slows an implementation in one process or on one day, at every point, makes the interval too
    narrow; what slows the implementation and the baseline alike makes it too wide. The means of two
    implementations share the errors of the baseline, so their difference is known better than the two
    intervals suggest: to compare them, make one of them the baseline.

    Args:
        panels: The panels that hold the points.
        baseline: The implementation that speed-ups are relative to.
        implementations: The implementations to compare; by default every one that has a time.

    Raises:
        UsageError: The baseline or an implementation has no time.
    """
    timed_names = {name for panel in panels for name in panel.series}
    names = sorted({baseline, *(timed_names if implementations is None else implementations)})
    for name in names:
        if name not in timed_names:
            raise (
                unknown("implementation with a time", name, timed_names)
                if timed_names
                else UsageError("nothing was timed, so there is no mean")
            )
    points: list[Point] = []
    lost: dict[Point, tuple[str, ...]] = {}
    for index, panel in enumerate(panels):
        for x in panel.xs:
            missing = tuple(name for name in names if x not in panel.series.get(name, {}))
            if not missing:
                points.append((index, x))
            elif len(missing) < len(names):
                lost[index, x] = missing
    means = {name: _mean(panels, name, baseline, points) for name in names if points}
    return Means(baseline, tuple(points), lost, means)


def _mean(panels: Sequence[Panel], name: str, baseline: str, points: Sequence[Point]) -> Estimate:
    """Return the geometric mean of an implementation's speed-ups; each row is one factor of the product."""
    if name == baseline:
        return Estimate(1.0, 1.0, 1.0)
    times: dict[Hashable, Estimate] = {}
    counts: Counter[Hashable] = Counter()
    for index, x in points:
        for member, count in ((baseline, 1), (name, -1)):
            label = panels[index].labels[member, x]
            times[label] = panels[index].series[member][x]
            counts[label] += count
    return product((times[label], count / len(points)) for label, count in counts.items())
