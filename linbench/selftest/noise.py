"""Noise: statistics of processes that timed identical code on both sides, as pure functions."""

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
Item = TypeVar("Item")


def log_ratios(pairs: Sequence[Pair]) -> list[float]:
    """Return log(a / b) of each process, where a pair holds its medians of the two sides."""
    return [math.log(a / b) for a, b in pairs]


def difference(pairs: Sequence[Pair]) -> tuple[float, float, float]:
    """Return the relative time difference of side A to side B, and the ends of its paired 95% interval."""
    low, high = process_interval([a / b for a, b in pairs], CONFIDENCE)
    return math.expm1(fmean(log_ratios(pairs))), low - 1, high - 1


def pair_noise(pairs: Sequence[Pair]) -> tuple[float, float, float]:
    """Return the standard deviation of the processes' log-ratios, and its 95% interval.

    With n processes, (n - 1) s^2 / sigma^2 is assumed to be chi-squared with n - 1 degrees of freedom.
    """
    from scipy.special import chdtri

    noise = stdev(log_ratios(pairs))
    degrees = len(pairs) - 1
    tail = (1 - CONFIDENCE) / 2
    low, high = (noise * math.sqrt(degrees / float(chdtri(degrees, p))) for p in (tail, 1 - tail))
    return noise, low, high


def minimum_detectable_effect(noise: float, processes: int, power: float = POWER) -> float:
    """Return the relative difference that a paired comparison of n processes detects with this power.

    The comparison calls two sides different if the 95% interval of Student's t over n log-ratios excludes 0,
    which has a false-positive rate of 5%. If the log-ratios are normal with mean d and standard deviation s,
    the power is P(T > t), where t is Student's 97.5% quantile for n - 1 degrees of freedom and T is the
    noncentral t with noncentrality d sqrt(n) / s. This is solved for d; the result is e^d - 1.

    Args:
        noise: s, as `pair_noise` returns it.
        processes: n, at least two.
        power: Share of such differences that are detected.
    """
    from scipy.special import nctdtrinc, stdtrit

    degrees = processes - 1
    critical = stdtrit(degrees, (1 + CONFIDENCE) / 2)
    return math.expm1(float(nctdtrinc(degrees, 1 - power, critical)) * noise / math.sqrt(processes))


def paired_alarms(pairs: Sequence[Pair], processes: int) -> float:
    """Return the false-positive rate of the paired interval over this number of processes.

    Processes are resampled from the recorded ones, with replacement and with randomly swapped sides.
    """

    def is_different(sample: Sequence[Pair]) -> bool:
        low, high = process_interval([a / b for a, b in sample], CONFIDENCE)
        return not low <= 1 <= high

    return _share(is_different, _with_swapped(pairs), processes)


def apart_alarms(pairs: Sequence[Pair], processes: int) -> float:
    """Return how often the intervals of two rows of identical code do not overlap; resampled likewise."""

    def is_disjoint(sample: Sequence[Pair]) -> bool:
        a, b = (process_interval(side, CONFIDENCE) for side in zip(*sample, strict=True))
        return a[1] < b[0] or b[1] < a[0]

    return _share(is_disjoint, _with_swapped(pairs), processes)


def coverage(medians: Sequence[float], processes: int) -> float:
    """Return how often the interval of a row covers the long-run value, the median of all processes.

    The row's processes are resampled from the recorded ones, with replacement, as if they were independent:
    drift from one process to the next is not included.
    """
    truth = median(medians)

    def covers(sample: Sequence[float]) -> bool:
        low, high = process_interval(sample, CONFIDENCE)
        return low <= truth <= high

    return _share(covers, medians, processes)


def _with_swapped(pairs: Sequence[Pair]) -> list[Pair]:
    return [*pairs, *((b, a) for a, b in pairs)]


def _share(predicate: Callable[[Sequence[Item]], bool], items: Sequence[Item], processes: int) -> float:
    """Return the share of resamples of this size for which a predicate is true."""
    source = random.Random(0)
    return sum(predicate(source.choices(items, k=processes)) for _ in range(DRAWS)) / DRAWS
