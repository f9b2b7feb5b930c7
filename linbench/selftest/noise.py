"""Noise: what processes that timed the same code twice say of a machine, as pure functions."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from statistics import fmean, median, stdev
from typing import TypeVar

from linbench.statistics.interval import process_interval

CONFIDENCE = 0.95
POWER = 0.95
DRAWS = 4000

Pair = tuple[float, float]
Drawn = TypeVar("Drawn")


def log_ratios(pairs: Sequence[Pair]) -> list[float]:
    """Return log(one / other) of each process, where a pair holds its medians of the two sides."""
    return [math.log(one / other) for one, other in pairs]


def difference(pairs: Sequence[Pair]) -> tuple[float, float, float]:
    """Return how much longer one side takes than the other, relative, and its paired 95% interval."""
    low, high = process_interval([one / other for one, other in pairs], CONFIDENCE)
    return math.expm1(fmean(log_ratios(pairs))), low - 1, high - 1


def pair_noise(pairs: Sequence[Pair]) -> tuple[float, float, float]:
    """Return the standard deviation of the processes' log-ratios, and its 95% interval.

    With n processes, (n - 1) s^2 / sigma^2 is taken to be chi-squared with n - 1 degrees of freedom.
    """
    from scipy.special import chdtri

    noise = stdev(log_ratios(pairs))
    free = len(pairs) - 1
    tail = (1 - CONFIDENCE) / 2
    low, high = (noise * math.sqrt(free / float(chdtri(free, above))) for above in (tail, 1 - tail))
    return noise, low, high


def minimum_detectable_effect(noise: float, processes: int, power: float = POWER) -> float:
    """Return the relative difference that a paired comparison over so many processes sees with this power.

    The comparison calls two sides different if the 95% interval of Student's t over n log-ratios leaves out
    0, and so does it for 5% of identical ones. With log-ratios normal around d with standard deviation s it
    sees the difference with a power of P(T > t), where t is Student's 97.5% quantile for n - 1 degrees of
    freedom and T noncentral with noncentrality d sqrt(n) / s. Solved for d; the result is e^d - 1.

    Args:
        noise: s, as `pair_noise` returns it.
        processes: n, at least two.
        power: Share of such differences that are seen.
    """
    from scipy.special import nctdtrinc, stdtrit

    free = processes - 1
    edge = stdtrit(free, (1 + CONFIDENCE) / 2)
    return math.expm1(float(nctdtrinc(free, 1 - power, edge)) * noise / math.sqrt(processes))


def paired_alarms(pairs: Sequence[Pair], processes: int) -> float:
    """Return how often the paired interval over so many processes would call identical code different.

    The processes are drawn from those recorded, with replacement and with sides swapped at random.
    """

    def different(drawn: Sequence[Pair]) -> bool:
        low, high = process_interval([one / other for one, other in drawn], CONFIDENCE)
        return not low <= 1 <= high

    return _share(different, _either_way(pairs), processes)


def apart_alarms(pairs: Sequence[Pair], processes: int) -> float:
    """Return how often two rows of identical code would have intervals that do not overlap; drawn alike."""

    def apart(drawn: Sequence[Pair]) -> bool:
        one, other = (process_interval(side, CONFIDENCE) for side in zip(*drawn, strict=True))
        return one[1] < other[0] or other[1] < one[0]

    return _share(apart, _either_way(pairs), processes)


def coverage(medians: Sequence[float], processes: int) -> float:
    """Return how often the interval of a row would cover the long-run value, the median of all processes.

    The row's processes are drawn from those recorded, with replacement, as if they were independent: what
    drifts from one process to the next is not seen here.
    """
    truth = median(medians)

    def covers(drawn: Sequence[float]) -> bool:
        low, high = process_interval(drawn, CONFIDENCE)
        return low <= truth <= high

    return _share(covers, medians, processes)


def _either_way(pairs: Sequence[Pair]) -> list[Pair]:
    return [*pairs, *((other, one) for one, other in pairs)]


def _share(holds: Callable[[Sequence[Drawn]], bool], recorded: Sequence[Drawn], processes: int) -> float:
    """Return the share of draws of so many processes of which something holds."""
    source = random.Random(0)
    return sum(holds(source.choices(recorded, k=processes)) for _ in range(DRAWS)) / DRAWS
