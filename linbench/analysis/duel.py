"""Duel: where each of two implementations of a panel is faster, and where they cross."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from operator import attrgetter

from linbench.analysis.panel import Panel
from linbench.statistics.estimate import Estimate, product, speedup


@dataclass(frozen=True)
class Crossover:
    """The point where one implementation becomes faster than another, with a 95% interval; see `duel`.

    Attributes:
        slower: The implementation that is faster below the crossover and slower above it.
        faster: The implementation that is faster above it.
        at: The value at which the two medians are equal.
        low: Low end of the interval.
        high: High end of the interval.
        after: The largest measured value below `at` with disjoint intervals of the times.
        before: The smallest such value above `at`.
    """

    slower: str
    faster: str
    at: float
    low: float
    high: float
    after: int
    before: int


@dataclass(frozen=True)
class Duel:
    """Two implementations at the values of the axis where both have a time.

    Attributes:
        first: The first implementation.
        second: The second implementation.
        first_wins: Values at which the first is faster and the intervals are disjoint.
        second_wins: Values at which the second is faster and the intervals are disjoint.
        level: Values at which the intervals overlap.
        crossovers: The crossovers, in ascending order.
    """

    first: str
    second: str
    first_wins: tuple[int, ...]
    second_wins: tuple[int, ...]
    level: tuple[int, ...]
    crossovers: tuple[Crossover, ...]


def duel(panel: Panel, first: str, second: str) -> Duel:
    """Return the comparison of two implementations of a panel at every value where both have a time.

    A crossover is reported only between two values at which the intervals of the times are disjoint. Between
    neighbouring values the log of the ratio of the times, g, is assumed to be linear in log x, and its 95%
    interval [l, u] follows from those of the four times (`product`). The crossover is the x at which g is
    zero; its interval reaches from the first to the last x at which l <= 0 <= u. If g is linear, the interval
    covers the crossover whenever [l, u] covers the true g there: in at least 95% of cases. It does not
    include the curvature of g between measured values.

    Source: the inversion of a test, as in Fieller, Journal of the Royal Statistical Society B 16 (1954).
    """
    a, b = panel.series.get(first, {}), panel.series.get(second, {})
    shared = sorted(a.keys() & b.keys())
    signs = {x: _sign(a[x], b[x]) for x in shared}
    decided = [x for x in shared if signs[x]]
    points = []
    for after, before in pairwise(decided):
        if signs[after] == signs[before]:
            continue
        xs = [x for x in shared if after <= x <= before]
        slower, faster = (first, second) if signs[after] > 0 else (second, first)
        leader, chaser = panel.series[slower], panel.series[faster]
        ratios = {x: speedup(chaser[x], leader[x]) for x in xs}
        points.append(Crossover(slower, faster, *_crossing(ratios), after, before))
    return Duel(
        first=first,
        second=second,
        first_wins=tuple(x for x in shared if signs[x] > 0),
        second_wins=tuple(x for x in shared if signs[x] < 0),
        level=tuple(x for x in shared if not signs[x]),
        crossovers=tuple(points),
    )


def duels(panel: Panel) -> tuple[Duel, ...]:
    """Return the duel of every pair of implementations that both have a time at some value of the axis."""
    pairs = (duel(panel, *pair) for pair in combinations(sorted(panel.series), 2))
    return tuple(pair for pair in pairs if pair.first_wins or pair.second_wins or pair.level)


def crossovers(panel: Panel) -> tuple[Crossover, ...]:
    """Return every crossover between two implementations of a panel."""
    return tuple(point for pair in duels(panel) for point in pair.crossovers)


def _sign(first: Estimate, second: Estimate) -> int:
    """Return 1 if the first is faster, -1 if the second is, 0 if their intervals overlap."""
    if first.overlaps(second):
        return 0
    return 1 if first.value < second.value else -1


def _crossing(ratios: Mapping[int, Estimate]) -> tuple[float, float, float]:
    """Return the x at which ratios that start below 1 and end above it equal 1, with its interval."""
    from scipy.optimize import bisect

    segments = list(pairwise(ratios))

    def interpolate(low_x: int, high_x: int, share: float) -> Estimate:
        return product([(ratios[low_x], 1 - share), (ratios[high_x], share)])

    def root(low_x: int, high_x: int, end: Callable[[Estimate], float]) -> float:
        """Return the x between two values of the axis at which the ratio, or an end of its interval, is 1."""
        share = float(bisect(lambda share: end(interpolate(low_x, high_x, share)) - 1, 0, 1, xtol=1e-15))
        return math.exp((1 - share) * math.log(low_x) + share * math.log(high_x))

    at = next(root(*pair, attrgetter("value")) for pair in segments if ratios[pair[1]].value >= 1)
    # On a segment the log of the high end is convex and that of the low end concave, up to the change of the
    # degrees of freedom: each has one root where it changes sign. The interval begins where the high end
    # first reaches 1 and ends where the low end last does.
    first = next(pair for pair in segments if ratios[pair[1]].high >= 1)
    last = next(pair for pair in reversed(segments) if ratios[pair[0]].low <= 1)
    return at, root(*first, attrgetter("high")), root(*last, attrgetter("low"))
