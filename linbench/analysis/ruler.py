"""Ruler: the candidate ticks of an axis, from fine to coarse, with their labels."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from linbench.text.format import trimmed

Text = Callable[[float], str]
"""A function that formats a value."""

EVEN_STEPS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
MOST_EVEN_TICKS: Final = 1000
MOST_MULTIPLES: Final = 10
POWERS: Final = (1, 2, 5, 10, 20)
LARGEST_POWER: Final = 300  # power of ten, well within the range of a float


@dataclass(frozen=True)
class Ruler:
    """Ticks of an axis.

    Attributes:
        ticks: Their values, ascending.
        texts: The label of each tick.
    """

    ticks: tuple[float, ...]
    texts: tuple[str, ...]


def log_rulers(values: Iterable[float], text: Text, base: int = 10) -> tuple[Ruler, ...]:
    """Return rulers for a log axis over all positive values and one power beyond; none without such a value.

    In base 10 the finest ruler has 1, 2 and 5 times each power; the others have every first, second, fifth,
    tenth and twentieth power.
    """
    positive = [value for value in values if 0 < value < math.inf]
    if not positive:
        return ()
    most = math.floor(LARGEST_POWER / math.log10(base))
    low = max(-most, math.floor(math.log(min(positive), base)) - 1)
    high = min(most, math.ceil(math.log(max(positive), base)) + 1)
    rulers = [_powers(low, high, step, base, (1,), text) for step in POWERS]
    if base == 10:
        rulers.insert(0, _powers(low, high, 1, base, (1, 2, 5), text))
    return tuple(rulers)


def even_rulers(values: Iterable[float], text: Text) -> tuple[Ruler, ...]:
    """Return rulers with even steps around positive values that are close to each other."""
    positive = [value for value in values if 0 < value < math.inf]
    if not positive:
        return ()
    rulers = []
    for step in EVEN_STEPS:
        first, last = math.floor(min(positive) / step), math.ceil(max(positive) / step)
        if last - first <= MOST_EVEN_TICKS:
            ticks = [round(place * step, 2) for place in range(max(1, first), last + 1)]
            rulers.append(_ruler(ticks, text))
    return tuple(rulers)


def multiple_rulers(most: float, text: Text) -> tuple[Ruler, ...]:
    """Return rulers from zero in steps of 1, 2, 4 and so on, until ten steps reach a value."""
    steps = (2**power for power in range(max(0, math.ceil(math.log2(max(1.0, most)))) + 1))
    return tuple(_ruler([place * step for place in range(MOST_MULTIPLES + 1)], text) for step in steps)


def _powers(low: int, high: int, step: int, base: int, digits: Iterable[int], text: Text) -> Ruler:
    def ticks() -> Iterator[float]:
        for power in range(math.floor(low / step) * step, high + step, step):
            for digit in digits:
                yield float(f"{digit * float(base) ** power:.12g}")

    return _ruler(list(ticks()), text)


def _ruler(ticks: list[float], text: Text) -> Ruler:
    return Ruler(tuple(ticks), tuple(trimmed(text(tick)) for tick in ticks))
