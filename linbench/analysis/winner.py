"""Verdict: who is fastest at each value of a panel's axis, and by how much."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from linbench.analysis.panel import Panel
from linbench.statistics.estimate import Estimate, speedup


@dataclass(frozen=True)
class Winner:
    """Who is fastest at one value of the axis.

    Attributes:
        x: The value.
        fastest: The implementation with the least median.
        time: Its time, seconds.
        level: Others whose interval overlaps that of the fastest, fastest first.
        speedup: Time of the baseline over that of the fastest; None where the baseline has no time.
    """

    x: int
    fastest: str
    time: Estimate
    level: tuple[str, ...]
    speedup: Estimate | None


def winners(panel: Panel, baseline: str | None) -> tuple[Winner, ...]:
    """Return who is fastest at each value of the axis at which any implementation has a time."""
    series = panel.series
    found = []
    for x in panel.xs:
        ranked = sorted((times[x].value, name) for name, times in series.items() if x in times)
        if not ranked:
            continue
        fastest = ranked[0][1]
        time = series[fastest][x]
        against = series.get(baseline or "", {}).get(x)
        level = tuple(name for _, name in ranked[1:] if time.overlaps(series[name][x]))
        found.append(Winner(x, fastest, time, level, speedup(time, against) if against else None))
    return tuple(found)


def default_baseline(panels: Sequence[Panel]) -> str | None:
    """Return the implementation with the most times; of several, the one that is fastest at the first values.

    It is the one to overtake: what is quick on a short sequence is seldom so on a long one. None where
    nothing was timed.
    """
    times: Counter[str] = Counter()
    wins: Counter[str] = Counter()
    for panel in panels:
        times.update({name: len(found) for name, found in panel.series.items()})
        first = winners(panel, None)[:1]
        wins.update(winner.fastest for winner in first)
    return min(times, key=lambda name: (-times[name], -wins[name], name), default=None)
