"""Scaling: the exponent with which time grows, and whether a claimed one is contradicted."""

import math
from dataclasses import dataclass
from typing import Final

from linbench.analysis.panel import Panel, Series
from linbench.statistics.estimate import Estimate, product

LEAST_POINTS: Final = 3
BEND: Final = 0.05
MARGIN: Final = 0.1
CLAIMS: Final = {"O(1)": 0.0, "O(T)": 1.0, "O(T log T)": 1.0, "O(T^2)": 2.0}


@dataclass(frozen=True)
class Scaling:
    """How the time of an implementation grows along an axis, with a 95% interval; see `scaling`.

    Attributes:
        implementation: Its full name.
        exponent: p in time = c x^p.
        low: Low end of the interval.
        high: High end of the interval.
        first: The smallest value of the axis that was fitted.
        last: The largest.
        points: How many values were fitted.
    """

    implementation: str
    exponent: float
    low: float
    high: float
    first: int
    last: int
    points: int

    def contradicts(self, claim: float) -> bool:
        """Return whether time grows faster than x^claim: the whole interval lies more than 0.1 above it.

        The margin leaves room for caches and clocks, which bend the line of an algorithm that keeps its
        claim. Slower growth contradicts nothing: a fixed cost makes every exponent smaller.
        """
        return self.low > claim + MARGIN


def scaling(implementation: str, times: Series) -> Scaling | None:
    """Return the exponent of a power law through the times at the largest values; None if none holds there.

    log time = log c + p log x by least squares over the most values, counted from the largest, at which every
    median lies within 5%, or within its interval, of the line; three at least. (Short calls are left out so:
    their fixed cost bends the line.) As p is a weighted sum of the logs of the times, its interval is
    recovered from theirs (`product`); it covers noise, and not what bends within the 5%.
    """
    xs = sorted(times)
    for start in range(len(xs) - LEAST_POINTS + 1):
        fitted = xs[start:]
        logs = [math.log(x) for x in fitted]
        middle = math.fsum(logs) / len(logs)
        spread = math.fsum((log - middle) ** 2 for log in logs)
        factors = [(times[x], (log - middle) / spread) for x, log in zip(fitted, logs, strict=True)]
        slope = math.fsum(power * math.log(time.value) for time, power in factors)
        height = math.fsum(math.log(times[x].value) for x in fitted) / len(fitted)
        lines = [height + slope * (log - middle) for log in logs]
        if all(_near(times[x], line) for x, line in zip(fitted, lines, strict=True)):
            grown = product(factors)
            return Scaling(
                implementation,
                slope,
                math.log(grown.low) if grown.low > 0 else -math.inf,
                math.log(grown.high),
                fitted[0],
                fitted[-1],
                len(fitted),
            )
    return None


def scalings(panel: Panel) -> tuple[Scaling, ...]:
    """Return the exponent of each implementation of a panel that has one."""
    found = (scaling(name, times) for name, times in sorted(panel.series.items()))
    return tuple(one for one in found if one is not None)


def claimed_exponent(complexity: str) -> float | None:
    """Return the exponent of T that a complexity as O(T) names, or None for one that is not known."""
    return CLAIMS.get(complexity)


def _near(time: Estimate, line: float) -> bool:
    off = line - math.log(time.value)
    return -max(BEND, time.below) <= off <= max(BEND, time.above)
