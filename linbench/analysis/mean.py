"""Mean: geometric means of speed-ups over the points that every implementation could do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from linbench.analysis.panel import Panel
from linbench.core.errors import UsageError, unknown
from linbench.statistics.estimate import Estimate, product, speedup

Point = tuple[int, int]
"""A panel, by its place in the sequence given, and a value of its axis."""


@dataclass(frozen=True)
class Means:
    """Geometric means of speed-ups over the common feasible set.

    Attributes:
        baseline: The implementation that speed-ups are over.
        points: The common feasible set: where every implementation compared has a time.
        lost: The other points at which any of them has a time, with those that have none there.
        speedups: By implementation, the geometric mean of its speed-ups over `points`; empty where there
            are no points.
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
    a time, so that none gains by failing where it would have been slow. Points count as independent.

    Args:
        panels: Where to look; the points of the means are named by them.
        baseline: The implementation that speed-ups are over.
        implementations: Those to compare; every one that has a time anywhere if not given.

    Raises:
        UsageError: The baseline or an implementation was never timed.
    """
    timed = {name for panel in panels for name in panel.series}
    names = sorted({baseline, *(timed if implementations is None else implementations)})
    for name in names:
        if name not in timed:
            raise (
                unknown("implementation with a time", name, timed)
                if timed
                else UsageError("nothing was timed: there is no mean")
            )
    points: list[Point] = []
    lost: dict[Point, tuple[str, ...]] = {}
    for place, panel in enumerate(panels):
        for x in panel.xs:
            missing = tuple(name for name in names if x not in panel.series.get(name, {}))
            if not missing:
                points.append((place, x))
            elif len(missing) < len(names):
                lost[place, x] = missing
    means = {
        name: product((_speedup(panels[place], name, baseline, x), 1 / len(points)) for place, x in points)
        for name in names
        if points
    }
    return Means(baseline, tuple(points), lost, means)


def _speedup(panel: Panel, name: str, baseline: str, x: int) -> Estimate:
    if name == baseline:
        return Estimate(1.0, 1.0, 1.0)
    return speedup(panel.series[name][x], panel.series[baseline][x])
