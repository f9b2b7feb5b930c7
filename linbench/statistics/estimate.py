"""Estimate: a positive quantity with its 95% interval, and products of estimates."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Estimate:
    """A positive quantity and its 95% interval, in the unit of the quantity.

    Attributes:
        value: The quantity.
        low: Low end of the interval.
        high: High end of the interval.
        degrees_of_freedom: The degrees of freedom of the interval, if it is Student's t on the logarithms;
            infinite otherwise, for example for an interval of order statistics.
    """

    value: float
    low: float
    high: float
    degrees_of_freedom: float = math.inf

    @classmethod
    def over_processes(cls, value: float, low: float, high: float, processes: int) -> "Estimate":
        """Return the median of a row with the interval over its processes (`process_interval`)."""
        return cls(value, low, high, processes - 1 if processes > 1 else math.inf)

    @property
    def below(self) -> float:
        """log(value / low); infinite where the interval reaches zero."""
        return math.log(self.value / self.low) if self.low > 0 else math.inf

    @property
    def above(self) -> float:
        """log(high / value)."""
        return math.log(self.high / self.value)

    def overlaps(self, other: "Estimate") -> bool:
        """Return whether the two intervals have a value in common."""
        return self.low <= other.high and other.low <= self.high


def product(factors: Iterable[tuple[Estimate, float]]) -> Estimate:
    """Return the product of independent estimates, each to a power, with a 95% interval.

    On the log scale, each factor x has a centre c and a lower and an upper standard error s. If its interval
    is Student's t with v degrees of freedom, c is the middle of the interval, and s is half its width over
    the 97.5% quantile of t; otherwise c is log x, and s is the distance from x to an end over that of the
    normal distribution. With powers p, the interval of the product is sum p c -+ t sqrt(sum (p s)^2), where a
    negative p swaps lower and upper, and t has (sum (p s)^2)^2 / sum ((p s)^4 / v) degrees of freedom, of the
    larger side. It is widened, if necessary, to contain the product of the values.

    The factors must be independent: one that occurs twice must be passed once, with the sum of its powers.
    Otherwise the interval is too narrow if these powers have the same sign, and too wide if they differ.

    Source: Welch, Biometrika 34 (1947), and Satterthwaite, Biometrics Bulletin 2 (1946), for the degrees of
    freedom; Zou and Donner, Statistics in Medicine 27 (2008), method of variance estimates recovery, for
    different sides.
    """
    value = centre = 0.0
    sides: tuple[list[tuple[float, float]], list[tuple[float, float]]] = [], []
    for estimate, power in factors:
        if power == 0:
            continue
        value += power * math.log(estimate.value)
        middle, errors = _centre_and_errors(estimate)
        centre += power * middle
        for side, error in zip(sides, errors if power > 0 else reversed(errors), strict=True):
            side.append((abs(power) * error, estimate.degrees_of_freedom))
    freedom = _degrees_of_freedom(max(sides, key=lambda side: sum(error for error, _ in side)))
    lower, upper = (_quantile(freedom) * math.hypot(*(error for error, _ in side)) for side in sides)
    low, high = min(centre - lower, value), max(centre + upper, value)
    return Estimate(_exp(value), _exp(low), _exp(high), freedom)


def speedup(time: Estimate, baseline: Estimate) -> Estimate:
    """Return how many times faster `time` is than `baseline`, with a 95% interval."""
    return product([(baseline, 1), (time, -1)])


def _centre_and_errors(estimate: Estimate) -> tuple[float, tuple[float, float]]:
    """Return the centre of an estimate, and its lower and upper standard error, on the log scale."""
    below, above = estimate.below, estimate.above
    quantile = _quantile(estimate.degrees_of_freedom)
    centre = math.log(estimate.value)
    if math.isfinite(estimate.degrees_of_freedom) and math.isfinite(below + above):
        centre += (above - below) / 2
        below = above = (below + above) / 2
    return centre, (below / quantile, above / quantile)


def _degrees_of_freedom(errors: Iterable[tuple[float, float]]) -> float:
    """Return Welch and Satterthwaite's degrees of freedom of a sum, from the error and those of each term."""
    terms = list(errors)
    largest = max((error for error, _ in terms), default=0.0)
    if largest == 0 or math.isinf(largest):
        return math.inf
    shares = [((error / largest) ** 2, freedom) for error, freedom in terms]
    spread = math.fsum(share**2 / freedom for share, freedom in shares)
    return math.fsum(share for share, _ in shares) ** 2 / spread if spread else math.inf


@lru_cache(maxsize=4096)
def _quantile(degrees_of_freedom: float) -> float:
    """Return the 97.5% quantile of Student's t, which is normal for infinite degrees of freedom."""
    from scipy.special import ndtri, stdtrit

    tail = (1 + CONFIDENCE) / 2
    return float(ndtri(tail) if math.isinf(degrees_of_freedom) else stdtrit(degrees_of_freedom, tail))


def _exp(value: float) -> float:
    """Return e to a power, infinite on overflow."""
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
