"""Scaling: the exponent with which time grows, and whether it contradicts a claimed exponent."""

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
    """The growth of an implementation's time along an axis, with a 95% interval; see `scaling`.

    Attributes:
        implementation: Its full name.
        exponent: p in time = c x^p.
        low: Low end of the interval.
        high: High end of the interval.
        first: The smallest value of the axis in the fit.
        last: The largest value of the axis in the fit.
        points: The number of values in the fit.
    """

    implementation: str
    exponent: float
    low: float
    high: float
    first: int
    last: int
    points: int

    def contradicts(self, claim: float) -> bool:
        """Return whether time grows faster than x^claim: the whole interval is more than 0.1 above the claim.

        The margin allows for caches and clocks, which bend the line of an algorithm that meets its claim.
        Slower growth contradicts nothing: a fixed cost makes every exponent smaller.
        """
        return self.low > claim + MARGIN


def scaling(implementation: str, times: Series) -> Scaling | None:
    """Return the exponent of a power law through the times at the largest values; None if none fits there.

    log time = log c + p log x by least squares over as many values as possible, from the largest down, such
    that every median is within 5%, or within its interval, of the line; at least three. (This excludes short
    calls, whose fixed cost bends the line.) As p is a weighted sum of the logs of the times, its interval
    follows from theirs (`product`); it covers noise, but not curvature within the 5%.
    """
    xs = sorted(times)
    for start in range(len(xs) - LEAST_POINTS + 1):
        fitted_xs = xs[start:]
        logs = [math.log(x) for x in fitted_xs]
        mean_log = math.fsum(logs) / len(logs)
        spread = math.fsum((log - mean_log) ** 2 for log in logs)
        factors = [(times[x], (log - mean_log) / spread) for x, log in zip(fitted_xs, logs, strict=True)]
        slope = math.fsum(power * math.log(time.value) for time, power in factors)
        height = math.fsum(math.log(times[x].value) for x in fitted_xs) / len(fitted_xs)
        lines = [height + slope * (log - mean_log) for log in logs]
        if all(_is_near(times[x], line) for x, line in zip(fitted_xs, lines, strict=True)):
            growth = product(factors)
            return Scaling(
                implementation,
                slope,
                math.log(growth.low) if growth.low > 0 else -math.inf,
                math.log(growth.high),
                fitted_xs[0],
                fitted_xs[-1],
                len(fitted_xs),
            )
    return None


def scalings(panel: Panel) -> tuple[Scaling, ...]:
    """Return the exponent of each implementation of a panel for which a power law fits."""
    fits = (scaling(name, times) for name, times in sorted(panel.series.items()))
    return tuple(fit for fit in fits if fit is not None)


def claimed_exponent(complexity: str) -> float | None:
    """Return the exponent of T in a complexity such as O(T), or None for an unknown complexity."""
    return CLAIMS.get(complexity)


def _is_near(time: Estimate, line: float) -> bool:
    deviation = line - math.log(time.value)
    return -max(BEND, time.below) <= deviation <= max(BEND, time.above)
