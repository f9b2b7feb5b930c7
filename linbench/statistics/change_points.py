"""Change points: lasting changes in a series of logarithms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEAST_RUNS: Final = 5
P: Final = 1e-4
P_SPLIT: Final = 1e-3
LEAST_CHANGE: Final = 0.01


@dataclass(frozen=True)
class Change:
    """A point at which a series changed.

    Attributes:
        index: Index of the first run after the change.
        size: Relative growth of the time divided by that of the calibration op.
        p: P-value of Welch's test between the runs since the previous change and the runs up to the next.
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
    one has p <= 1e-4 and a size of at least 1%. Such a p means at least 3.9 standard errors for any number
    of runs.

    A change only nominates two commits; a live comparison of the two confirms it.
    """
    series = np.asarray(values, dtype=np.float64)
    distances = np.abs(series[:, None] - series[None, :])
    ends = [0, *sorted(_splits(series, distances, 0, len(series))), len(series)]
    while len(ends) > 2:
        steps = [_change(series, *ends[i - 1 : i + 2]) for i in range(1, len(ends) - 1)]
        weak = [step for step in steps if not step.is_significant]
        if not weak:
            return [Change(step.index, math.expm1(step.size), step.p) for step in steps]
        ends.remove(max(weak, key=lambda step: (step.p, -abs(step.size))).index)
    return []


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


def _change(series: NDArray[np.float64], start: int, split: int, end: int) -> _Step:
    """Return the result of Welch's test between the two parts of a segment."""
    from scipy.special import stdtr

    parts = series[start:split], series[split:end]
    size = float(parts[1].mean() - parts[0].mean())
    shares = [float(part.var(ddof=1)) / len(part) for part in parts]
    error = math.sqrt(sum(shares))
    if error == 0:
        return _Step(split, size, 0.0 if size else 1.0)
    freedom = sum(shares) ** 2 / sum(
        share**2 / (len(part) - 1) for share, part in zip(shares, parts, strict=True)
    )
    return _Step(split, size, 2 * float(stdtr(freedom, -abs(size) / error)))
