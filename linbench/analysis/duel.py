"""Duel: two implementations of a panel, where each is faster, and where the lead changes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from operator import attrgetter

from linbench.analysis.panel import Panel
from linbench.statistics.estimate import Estimate, product, speedup


@dataclass(frozen=True)
class Crossover:
    """Where one implementation becomes faster than another, with a 95% interval; see `duel`.

    Attributes:
        slower: The implementation that is faster below the crossover and slower above it.
        faster: The one that overtakes it.
        at: Where the two medians meet.
        low: Low end of the interval.
        high: High end of the interval.
        after: The largest measured value below at which the intervals of the times are disjoint.
        before: The smallest such value above.
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
        first: One implementation.
        second: The other.
        first_wins: Values at which the first is faster and the intervals are disjoint.
        second_wins: Values at which the second is, likewise.
        level: Values at which the intervals overlap.
        crossovers: Where the lead changes, from low to high.
    """

    first: str
    second: str
    first_wins: tuple[int, ...]
    second_wins: tuple[int, ...]
    level: tuple[int, ...]
    crossovers: tuple[Crossover, ...]


def duel(panel: Panel, first: str, second: str) -> Duel:
    """Return how two implementations of a panel compare wherever both have a time.

    A crossover is claimed only between two values at which the intervals of the times are disjoint. Between
    neighbouring values the log of the ratio of the times, g, is taken to be straight in log x, and its 95%
    interval [l, u] comes from those of the four times (`product`). The crossover is where g is zero; its
    interval reaches from the first to the last x at which l <= 0 <= u. Where g is as straight as that, it
    holds the crossover whenever [l, u] holds the true g there: in 95% of cases or more. It does not tell
    how far g bends between the values measured.

    Source: the inversion of a test, as in Fieller, Journal of the Royal Statistical Society B 16 (1954).
    """
    one, two = panel.series.get(first, {}), panel.series.get(second, {})
    shared = sorted(one.keys() & two.keys())
    signs = {x: _sign(one[x], two[x]) for x in shared}
    decided = [x for x in shared if signs[x]]
    found = []
    for after, before in pairwise(decided):
        if signs[after] == signs[before]:
            continue
        xs = [x for x in shared if after <= x <= before]
        slower, faster = (first, second) if signs[after] > 0 else (second, first)
        leader, chaser = panel.series[slower], panel.series[faster]
        ratios = {x: speedup(chaser[x], leader[x]) for x in xs}
        found.append(Crossover(slower, faster, *_meeting(ratios), after, before))
    return Duel(
        first=first,
        second=second,
        first_wins=tuple(x for x in shared if signs[x] > 0),
        second_wins=tuple(x for x in shared if signs[x] < 0),
        level=tuple(x for x in shared if not signs[x]),
        crossovers=tuple(found),
    )


def duels(panel: Panel) -> tuple[Duel, ...]:
    """Return every pair of implementations that have a time at a common value of the axis."""
    found = (duel(panel, *pair) for pair in combinations(sorted(panel.series), 2))
    return tuple(pair for pair in found if pair.first_wins or pair.second_wins or pair.level)


def crossovers(panel: Panel) -> tuple[Crossover, ...]:
    """Return every crossover between two implementations of a panel."""
    return tuple(point for pair in duels(panel) for point in pair.crossovers)


def _sign(one: Estimate, two: Estimate) -> int:
    """Return 1 if the first is faster, -1 if the second is, 0 if their intervals overlap."""
    if one.overlaps(two):
        return 0
    return 1 if one.value < two.value else -1


def _meeting(ratios: Mapping[int, Estimate]) -> tuple[float, float, float]:
    """Return where ratios that begin below 1 and end above it are 1, and the ends of its interval."""
    from scipy.optimize import bisect

    segments = list(pairwise(ratios))

    def between(left: int, right: int, share: float) -> Estimate:
        return product([(ratios[left], 1 - share), (ratios[right], share)])

    def root(left: int, right: int, end: Callable[[Estimate], float]) -> float:
        """Return where the value, or an end of the interval, is 1 between two values of the axis."""
        share = float(bisect(lambda share: end(between(left, right, share)) - 1, 0, 1, xtol=1e-15))
        return math.exp((1 - share) * math.log(left) + share * math.log(right))

    at = next(root(*pair, attrgetter("value")) for pair in segments if ratios[pair[1]].value >= 1)
    # On a segment the log of the high end is convex and that of the low end concave: each has one root
    # where it changes sign. The interval is from where the high end first reaches 1
    # to where the low end last does.
    first = next(pair for pair in segments if ratios[pair[1]].high >= 1)
    last = next(pair for pair in reversed(segments) if ratios[pair[0]].low <= 1)
    return at, root(*first, attrgetter("high")), root(*last, attrgetter("low"))
