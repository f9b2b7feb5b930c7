"""Winner: the fastest implementation at each value of a panel's axis, and its speed-up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from linbench.analysis.panel import Panel
from linbench.statistics.estimate import Estimate, speedup


@dataclass(frozen=True)
class Winner:
    """The fastest implementation at one value of the axis.

    Attributes:
        x: The value of the axis.
        fastest: The implementation with the least median.
        time: Its time, seconds.
        level: Implementations whose interval overlaps that of the fastest, in order of their medians.
        speedup: Time of the baseline over that of the fastest; None if the baseline has no time.
    """

    x: int
    fastest: str
    time: Estimate
    level: tuple[str, ...]
    speedup: Estimate | None


def winners(panel: Panel, baseline: str | None) -> tuple[Winner, ...]:
    """Return the fastest implementation at each value of the axis at which any has a time."""
    series = panel.series
    results = []
    for x in panel.xs:
        ranking = sorted((times[x].value, name) for name, times in series.items() if x in times)
        if not ranking:
            continue
        fastest = ranking[0][1]
        time = series[fastest][x]
        baseline_time = series.get(baseline or "", {}).get(x)
        level = tuple(name for _, name in ranking[1:] if time.overlaps(series[name][x]))
        results.append(
            Winner(x, fastest, time, level, speedup(time, baseline_time) if baseline_time else None)
        )
    return tuple(results)


def default_baseline(panels: Sequence[Panel]) -> str | None:
    """Return the implementation with the most times; ties go to the fastest at the smallest values.

    It is the one to overtake: an implementation that is fast on short sequences is seldom so on long ones.
    None if nothing was timed.
    """
    times: Counter[str] = Counter()
    wins: Counter[str] = Counter()
    for panel in panels:
        times.update({name: len(points) for name, points in panel.series.items()})
        first = winners(panel, None)[:1]
        wins.update(winner.fastest for winner in first)
    return min(times, key=lambda name: (-times[name], -wins[name], name), default=None)
