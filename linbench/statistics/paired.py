"""Paired log-ratios of several processes: exact sign-flip test, interval, minimum detectable effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEAST_ROUNDS: Final = 12
SETTLED: Final = 0.003
BETWEEN_PROCESSES: Final = 0.01
ALPHA: Final = 0.0025
LEAST_EFFECT: Final = 0.01
CONFIDENCE: Final = 0.95
POWER: Final = 0.95
MOST_PROCESSES: Final = 40


@dataclass(frozen=True)
class Paired:
    """The comparison of B with A over the rounds of one process.

    Attributes:
        log_ratio: Median of log(B / A) over the rounds, where a round has one time of each.
        weight: 1 / (SE^2 + (1%)^2), with SE the standard error of the median: processes of the same code
            differ by about 1% regardless of the number of rounds.
        rounds: Number of rounds.
    """

    log_ratio: float
    weight: float
    rounds: int


def paired(log_ratios: Sequence[float]) -> Paired:
    """Return the comparison of B with A from the rounds of one process.

    Raises:
        ValueError: There are no rounds, or a log-ratio is not finite.
    """
    error = _standard_error(log_ratios)
    return Paired(median(log_ratios), 1 / (error**2 + BETWEEN_PROCESSES**2), len(log_ratios))


def has_settled(log_ratios: Sequence[float]) -> bool:
    """Return whether a process needs no further round: at least 12, and a standard error of at most 0.3%.

    The caller limits the number of rounds (40, or 2 s).
    """
    return len(log_ratios) >= LEAST_ROUNDS and _standard_error(log_ratios) <= SETTLED


def sign_flip(pairs: Sequence[Paired]) -> float:
    """Return the p-value of no difference: the share of all 2^K sign patterns with at least as large a sum.

    The statistic is the absolute sum of weight times log-ratio over the K processes. If A and B are the same
    code, swapping them in a process is equally likely, so each log-ratio has either sign with equal
    probability: the test is exact for any distribution and any weights. All patterns are counted without
    enumerating them: the 2^(K/2) sums of one half of the processes are sorted, and for each sum of the other
    half a binary search counts those that complete it to a large enough total. Sums that are equal up to
    rounding count as at least as large.

    Raises:
        ValueError: There are no processes, or more than 40.
    """
    if not 1 <= len(pairs) <= MOST_PROCESSES:
        raise ValueError(f"the sign-flip test takes 1 to {MOST_PROCESSES} processes, not {len(pairs)}")
    terms = np.array([pair.weight * pair.log_ratio for pair in pairs])
    observed = abs(terms.sum()) - 1e-9 * np.abs(terms).sum()
    if observed <= 0:
        return 1.0
    half = len(terms) // 2
    second_sums = np.sort(_signed_sums(terms[half:]))
    as_large = len(second_sums) - np.searchsorted(second_sums, observed - _signed_sums(terms[:half]))
    return float(2 * as_large.sum() / 2 ** len(terms))


def interval(pairs: Sequence[Paired]) -> tuple[float, float, float]:
    """Return the relative effect and the ends of its 95% confidence interval.

    The effect is e^m - 1 with m the weighted mean of the log-ratios x. The interval is Student's t with K - 1
    degrees of freedom and the variance sum_i (w_i / W)^2 (x_i - m)^2 / (1 - w_i / W), W the sum of weights;
    s^2 / K if they are equal. It assumes that the processes are independent and that the mean of their
    log-ratios is normal; it does not assume that the weights are right. A test checks that its coverage is
    92% to 98%.

    Raises:
        ValueError: There are fewer than two processes.
    """
    from scipy.special import stdtrit

    middle, error = _mean(pairs)
    reach = float(stdtrit(len(pairs) - 1, (1 + CONFIDENCE) / 2)) * error
    return math.expm1(middle), math.expm1(middle - reach), math.expm1(middle + reach)


def minimum_detectable_effect(pairs: Sequence[Paired], alpha: float = ALPHA) -> float | None:
    """Return the smallest effect that is detected as slower or faster with a power of 95% at this noise.

    It is the largest of three, each on the log scale: the effect that Student's t with K - 1 degrees of
    freedom detects at this alpha, with the standard error of `interval`; the effect that is observed as 1% or
    more; and, where alpha requires the same sign in all processes, the effect with the same sign in all K of
    them. None where even that p-value, 2^(1 - K), is above alpha.
    """
    from scipy.special import nctdtrinc, ndtri, stdtrit

    count = len(pairs)
    patterns = alpha * 2**count
    if patterns < 2:
        return None
    _, error = _mean(pairs)
    edge = stdtrit(count - 1, 1 - alpha / 2)
    reaches = [float(nctdtrinc(count - 1, 1 - POWER, edge)) * error]
    reaches.append(math.log1p(LEAST_EFFECT) + float(ndtri(POWER)) * error)
    if patterns < 4:  # the observed pattern and its mirror only
        reaches.append(float(ndtri(POWER ** (1 / count))) * math.sqrt(count) * error)
    return math.expm1(max(reaches))


def _standard_error(log_ratios: Sequence[float]) -> float:
    """Return the standard error of the median, from the median absolute deviation, as for normal rounds."""
    if not log_ratios or not all(map(math.isfinite, log_ratios)):
        raise ValueError("a process needs at least one round and only finite log-ratios")
    middle = median(log_ratios)
    deviation = 1.4826 * median(abs(value - middle) for value in log_ratios)
    return 1.2533 * deviation / math.sqrt(len(log_ratios))


def _signed_sums(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the 2^n sums of n terms, each with either sign."""
    sums = np.zeros(1)
    for term in terms:
        sums = np.concatenate((sums + term, sums - term))
    return sums


def _mean(pairs: Sequence[Paired]) -> tuple[float, float]:
    """Return the weighted mean of the log-ratios and its standard error."""
    if len(pairs) < 2:
        raise ValueError("an interval over processes needs at least two processes")
    values = np.array([pair.log_ratio for pair in pairs])
    shares = np.array([pair.weight for pair in pairs])
    shares /= shares.sum()
    middle = float(shares @ values)
    return middle, math.sqrt(float(np.sum(shares**2 * (values - middle) ** 2 / (1 - shares))))
