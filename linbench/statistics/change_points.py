"""Change points: where a series of logarithms changed for good."""

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
        index: Of the first run after it.
        size: By how much the time over the calibration op's grew, relative.
        p: Of Welch's test between what lies before, since the change before, and what lies after.
    """

    index: int
    size: float
    p: float


def change_points(values: Sequence[float]) -> list[Change]:
    """Return where a series of logarithms changed for good.

    E-divisive (Matteson and James 2014, with alpha = 1): a stretch is split where the energy distance of its
    two parts, n m / (n + m) (2 E|X - Y| - E|X - X'| - E|Y - Y'|), is greatest, if Welch's test (variances
    with n - 1) finds the parts apart at p <= 1e-3, and each part is split likewise; all have 5 runs at least.
    Then the split that says least is taken back, its neighbours merged, until every one left has p <= 1e-4
    and a size of at least 1%. By its p it is at least 3.9 standard errors large, however many runs there are.

    A change nominates two commits; to compare them live is what confirms it.
    """
    series = np.asarray(values, dtype=np.float64)
    distances = np.abs(series[:, None] - series[None, :])
    ends = [0, *sorted(_splits(series, distances, 0, len(series))), len(series)]
    while len(ends) > 2:
        found = [_change(series, *ends[i - 1 : i + 2]) for i in range(1, len(ends) - 1)]
        weak = [change for change in found if not change.holds]
        if not weak:
            return [Change(change.index, math.expm1(change.size), change.p) for change in found]
        ends.remove(max(weak, key=lambda change: (change.p, -abs(change.size))).index)
    return []


@dataclass(frozen=True)
class _Step:
    """A change as Welch sees it, its size on the logarithm."""

    index: int
    size: float
    p: float

    @property
    def holds(self) -> bool:
        return self.p <= P and abs(self.size) >= math.log1p(LEAST_CHANGE)


def _splits(
    series: NDArray[np.float64], distances: NDArray[np.float64], start: int, end: int
) -> Iterator[int]:
    """Yield where a stretch of a series splits, and where its parts do."""
    if end - start < 2 * LEAST_RUNS:
        return
    split = start + _best_split(distances[start:end, start:end])
    if _change(series, start, split, end).p <= P_SPLIT:
        yield split
        yield from _splits(series, distances, start, split)
        yield from _splits(series, distances, split, end)


def _best_split(distances: NDArray[np.float64]) -> int:
    """Return how many runs lie before the split with the greatest energy distance."""
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
    """Return what Welch's test says of the two parts of a stretch."""
    from scipy.special import stdtr

    parts = series[start:split], series[split:end]
    size = float(parts[1].mean() - parts[0].mean())
    shares = [float(part.var(ddof=1)) / len(part) for part in parts]
    error = math.sqrt(sum(shares))
    if error == 0:
        return _Step(split, size, 0.0 if size else 1.0)
    free = sum(shares) ** 2 / sum(
        share**2 / (len(part) - 1) for share, part in zip(shares, parts, strict=True)
    )
    return _Step(split, size, 2 * float(stdtr(free, -abs(size) / error)))
