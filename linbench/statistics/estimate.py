"""Estimate: a positive quantity with its 95% interval, and products of estimates."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A positive quantity and its 95% interval, in the unit of the quantity."""

    value: float
    low: float
    high: float

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

    With r = sum p log x, the interval is r - sqrt(sum d^2) to r + sqrt(sum u^2) on the log scale, where a
    factor's d is p log(x / low) and u is p log(high / x) if p > 0, and vice versa if p < 0: the interval is
    recovered from those of the factors, whose half-widths add in quadrature.

    Source: Zou and Donner, Statistics in Medicine 27 (2008), method of variance estimates recovery.
    """
    total, lower, upper = 0.0, 0.0, 0.0
    for estimate, power in factors:
        if power == 0:
            continue
        total += power * math.log(estimate.value)
        below, above = (estimate.below, estimate.above) if power > 0 else (estimate.above, estimate.below)
        lower, upper = math.hypot(lower, power * below), math.hypot(upper, power * above)
    return Estimate(_exp(total), _exp(total - lower), _exp(total + upper))


def speedup(time: Estimate, baseline: Estimate) -> Estimate:
    """Return how many times faster `time` is than `baseline`, with a 95% interval."""
    return product([(baseline, 1), (time, -1)])


def _exp(value: float) -> float:
    """Return e to a power, infinite on overflow."""
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
