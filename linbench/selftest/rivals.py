"""Rivals: when other tools call B slower than A, from the samples of one run of each, as pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import Final

import numpy as np
from numpy.typing import NDArray

Rule = Callable[[Sequence[float], Sequence[float]], bool]

RESAMPLES: Final = 1000


def pytest_benchmark(a_s: Sequence[float], b_s: Sequence[float]) -> bool:
    """Return what --benchmark-compare-fail=mean:5% says: the mean is more than 5% longer."""
    return fmean(b_s) > 1.05 * fmean(a_s)


def asv(a_s: Sequence[float], b_s: Sequence[float]) -> bool:
    """Return what `asv continuous` says by default.

    The median is more than 1.1 times as long, and a two-sided Mann-Whitney test gives p < .002 (asv,
    `_stats.is_different`).
    """
    return median(b_s) > 1.1 * median(a_s) and mann_whitney_p(a_s, b_s) < 0.002


def mann_whitney(a_s: Sequence[float], b_s: Sequence[float]) -> bool:
    """Return whether the median is longer and a two-sided Mann-Whitney test gives p < .01."""
    return median(b_s) > median(a_s) and mann_whitney_p(a_s, b_s) < 0.01


def criterion(a_s: Sequence[float], b_s: Sequence[float]) -> bool:
    """Return whether criterion.rs reports "Performance has regressed", with its defaults.

    Two conditions: p < .05 for Welch's t, its distribution bootstrapped from both sides pooled; and the 95%
    bootstrap interval of the change of the mean lies above its noise threshold of 1%. It takes 100,000
    resamples, here they are 1,000.
    """
    source = np.random.default_rng(0)
    a, b = np.asarray(a_s), np.asarray(b_s)
    pooled = np.concatenate((a, b))
    drawn = source.choice(pooled, (RESAMPLES, len(pooled)))
    null = _welch_t(drawn[:, : len(a)], drawn[:, len(a) :])
    seen = _welch_t(a[None], b[None])[0]
    if np.mean(np.abs(null) >= abs(seen)) >= 0.05:
        return False
    change = source.choice(b, (RESAMPLES, len(b))).mean(1) / source.choice(a, (RESAMPLES, len(a))).mean(1) - 1
    return bool(np.quantile(change, 0.025) > 0.01)


def github_action_benchmark(a_s: Sequence[float], b_s: Sequence[float]) -> bool:
    """Return whether its alert-threshold of 200% is passed: the mean is more than twice as long."""
    return fmean(b_s) > 2 * fmean(a_s)


def mann_whitney_p(a_s: Sequence[float], b_s: Sequence[float]) -> float:
    """Return the two-sided p-value of the Mann-Whitney test, as scipy computes it."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(a_s, b_s, alternative="two-sided").pvalue)


def _welch_t(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Welch's t of each row; 0 where nothing varies and nothing differs, infinite where it does."""
    gap = b.mean(1) - a.mean(1)
    error = np.sqrt(a.var(1, ddof=1) / a.shape[1] + b.var(1, ddof=1) / b.shape[1])
    found: NDArray[np.float64] = np.divide(
        gap, error, out=np.where(gap == 0, 0.0, np.copysign(np.inf, gap)), where=error > 0
    )
    return found


RULES: Final[Mapping[str, Rule]] = {
    "pytest-benchmark mean:5%": pytest_benchmark,
    "asv factor 1.1": asv,
    "Mann-Whitney p < .01": mann_whitney,
    "criterion": criterion,
    "github-action-benchmark 200%": github_action_benchmark,
}
