"""Change points: lasting changes in a series of logarithms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEAST_RUNS: Final = 5
P: Final = 1e-4
P_SPLIT: Final = 1e-3
LEAST_CHANGE: Final = 0.01
MAX_AUTOCORRELATION: Final = 0.95


@dataclass(frozen=True)
class Change:
    """A point at which a series changed.

    Attributes:
        index: Index of the first run after the change.
        size: Relative growth of the time divided by that of the calibration op.
        p: P-value of Welch's test, corrected for autocorrelation, between the runs since the previous change
            and the runs up to the next.
    """

    index: int
    size: float
    p: float


def change_points(values: Sequence[float]) -> list[Change]:
    """Return the lasting changes in a series of logarithms.

    E-divisive (Matteson and James 2014, with alpha = 1): a segment is split where the energy distance of its
    two parts, n m / (n + m) (2 E|X - Y| - E|X - X'| - E|Y - Y'|), is greatest, if Welch's test (variances
    with n - 1) separates the parts at p <= 1e-3, and each part is split likewise; every part has at least 5
    runs. Then the least significant split is removed and its neighbours are merged, until every remaining
    one has p <= 1e-4, and then until every one also has a size of at least 1%. Such a p means at least 3.9
    standard errors for any number of runs.

    The noise of successive runs may be correlated, for example by the temperature of the machine. For AR(1)
    noise with coefficient r, the test that removes splits multiplies the variance of a mean by
    (1 + r) / (1 - r) and the degrees of freedom by (1 - r^2) / (1 + r^2), as for long series (Bayley and
    Hammersley 1946). r is the lag-1 autocorrelation of the n residuals from the means of the S parts, with
    its bias of -(1 + 4 r) S / n removed (Kendall, Biometrika 41, 1954), plus one standard error,
    sqrt((1 - r^2) / n), since too small an r causes false alarms; it is 0 to 0.95. It is estimated again
    after each removal by p, but not after one by size: a small change within a part is no autocorrelation.

    A change only nominates two commits; a live comparison of the two confirms it.
    """
    series = np.asarray(values, dtype=np.float64)
    distances = np.abs(series[:, None] - series[None, :])
    ends = [0, *sorted(_splits(series, distances, 0, len(series))), len(series)]
    r = _autocorrelation(series, ends)
    while weak := [step for step in _steps(series, ends, r) if step.p > P]:
        ends.remove(_weakest(weak).index)
        r = _autocorrelation(series, ends)
    while weak := [step for step in _steps(series, ends, r) if not step.is_significant]:
        ends.remove(_weakest(weak).index)
    return [Change(step.index, math.expm1(step.size), step.p) for step in _steps(series, ends, r)]


@dataclass(frozen=True)
class _Step:
    """A change with the result of Welch's test; its size is on the log scale."""

    index: int
    size: float
    p: float

    @property
    def is_significant(self) -> bool:
        return self.p <= P and abs(self.size) >= math.log1p(LEAST_CHANGE)


def _splits(
    series: NDArray[np.float64], distances: NDArray[np.float64], start: int, end: int
) -> Iterator[int]:
    """Yield the splits of a segment of a series and those of its parts."""
    if end - start < 2 * LEAST_RUNS:
        return
    split = start + _best_split(distances[start:end, start:end])
    if _change(series, start, split, end).p <= P_SPLIT:
        yield split
        yield from _splits(series, distances, start, split)
        yield from _splits(series, distances, split, end)


def _best_split(distances: NDArray[np.float64]) -> int:
    """Return the number of runs before the split with the greatest energy distance."""
    count = len(distances)
    total = np.zeros((count + 1, count + 1))
    total[1:, 1:] = distances.cumsum(0).cumsum(1)
    n = np.arange(LEAST_RUNS, count - LEAST_RUNS + 1)
    m = count - n
    within, across = total[n, n], total[n, count] - total[n, n]
    beyond = total[count, count] - 2 * total[n, count] + total[n, n]
    energy = 2 * across / (n * m) - within / (n * (n - 1)) - beyond / (m * (m - 1))
    return int(n[np.argmax(n * m / count * energy)])


def _steps(series: NDArray[np.float64], ends: Sequence[int], autocorrelation: float) -> list[_Step]:
    """Return the changes between each part of a series and the next."""
    return [
        _change(series, start, split, end, autocorrelation)
        for start, split, end in zip(ends, ends[1:], ends[2:], strict=False)
    ]


def _weakest(steps: Sequence[_Step]) -> _Step:
    """Return the least significant of several changes."""
    return max(steps, key=lambda step: (step.p, -abs(step.size)))


def _change(
    series: NDArray[np.float64], start: int, split: int, end: int, autocorrelation: float = 0.0
) -> _Step:
    """Return the result of Welch's test between the two parts of a segment with AR(1) noise."""
    from scipy.special import stdtr

    parts = series[start:split], series[split:end]
    size = float(parts[1].mean() - parts[0].mean())
    shares = [float(part.var(ddof=1)) / len(part) for part in parts]
    r = autocorrelation
    error = math.sqrt(sum(shares) * (1 + r) / (1 - r))
    if error == 0:
        return _Step(split, size, 0.0 if size else 1.0)
    freedom = sum(shares) ** 2 / sum(
        share**2 / (len(part) - 1) for share, part in zip(shares, parts, strict=True)
    )
    freedom = max(1.0, freedom * (1 - r**2) / (1 + r**2))
    return _Step(split, size, 2 * float(stdtr(freedom, -abs(size) / error)))


def _autocorrelation(series: NDArray[np.float64], ends: Sequence[int]) -> float:
    """Return an upper estimate, 0 to 0.95, of the lag-1 autocorrelation about the means of the parts."""
    parts = [series[start:end] for start, end in pairwise(ends)]
    residuals = [part - part.mean() for part in parts if len(part)]
    power = sum(float(part @ part) for part in residuals)
    if power == 0:
        return 0.0
    r = sum(float(part[1:] @ part[:-1]) for part in residuals) / power
    means = len(parts) / len(series)
    r = (r + means) / (1 - 4 * means)
    r += math.sqrt(max(1 - r**2, 0.0) / len(series))
    return min(max(r, 0.0), MAX_AUTOCORRELATION)
