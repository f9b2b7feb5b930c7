"""Roof: the least time that a machine's ceilings leave to some work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from linbench.core.case import DTYPES, Case
from linbench.core.ceiling import Ceiling
from linbench.core.work import Work

WIDER: Final = {
    "float64": ("float64",),
    "float32": ("float32", "float64"),
    "float16": ("float16", "float32", "float64"),
    "bfloat16": ("bfloat16", "float32", "float64"),
}
"""In which types a product may be taken without losing what one of its inputs has."""

MEMORY: Final = "memory"


@dataclass(frozen=True)
class Level:
    """A cache or the memory, as data are moved in it.

    Attributes:
        name: As in L2, or memory.
        holds_bytes: Of a cache, what it holds over all cores; None for the memory.
        bytes_per_s: Bytes read and written a second at most.
    """

    name: str
    holds_bytes: int | None
    bytes_per_s: float


@dataclass(frozen=True)
class Bound:
    """The least time that a machine leaves to some work.

    Attributes:
        seconds: That time.
        limit: Which of the two takes so long: compute or memory.
    """

    seconds: float
    limit: str


@dataclass(frozen=True)
class Roof:
    """What a device does at most with operands of one type.

    Attributes:
        flops_per_s: Floating-point operations a second.
        levels: Where data may lie, the nearest first, the memory last.
    """

    flops_per_s: float
    levels: tuple[Level, ...]

    def moving_s(self, moved_bytes: float) -> float:
        """Return the least time in which so many bytes are moved, seconds.

        t = sum over levels of b / r: as many bytes b as a level holds beyond the one before are moved at its
        rate r, and what no cache holds at the memory's. A call that is made over and over finds its tensors
        in the caches, as far as they fit, so that the memory alone would be no bound.
        """
        seconds, held = 0.0, 0.0
        for level in self.levels:
            reach = moved_bytes if level.holds_bytes is None else min(moved_bytes, level.holds_bytes)
            seconds += max(0.0, reach - held) / level.bytes_per_s
            held = max(held, reach)
        return seconds

    def bound(self, work: Work) -> Bound:
        """Return the longer of computing the useful operations and of moving the fewest bytes."""
        computing_s, moving_s = work.useful_flops / self.flops_per_s, self.moving_s(work.fewest_bytes)
        return Bound(computing_s, "compute") if computing_s >= moving_s else Bound(moving_s, "memory")


Roofs = Mapping[tuple[str, str], Roof]
"""By device and type, where a machine's ceilings tell."""


def roofs_of(found: Sequence[Ceiling]) -> dict[tuple[str, str], Roof]:
    """Return the roof of each device and type of which products and copies in memory were measured.

    Operations are bounded by the fastest product of matrices in the type or in a wider one, by any number of
    threads, and bytes by the fastest copies; a level is no slower than those that lie further.
    """
    made = {}
    for device in {one.device for one in found}:
        levels = _levels([one for one in found if one.device == device and one.name.startswith("copy.")])
        for dtype in DTYPES:
            names = {f"matmul.{wider}" for wider in WIDER[dtype]}
            products = [one.best for one in found if one.device == device and one.name in names]
            if levels and max(products, default=0.0) > 0:
                made[device, dtype] = Roof(max(products), levels)
    return made


def bound_of(roofs: Roofs, case: Case, work: Work | None) -> Bound | None:
    """Return the least time that is left to the work of a case, or None where roof or work is not known."""
    roof = roofs.get((case.device, case.dtype))
    return roof.bound(work) if roof is not None and work is not None else None


def _levels(copies: Sequence[Ceiling]) -> tuple[Level, ...]:
    """Return the levels that were copied in; none if the memory is not among them."""
    rates: dict[str, float] = {}
    held: dict[str, int] = {}
    for one in copies:
        name = one.name.removeprefix("copy.")
        rates[name] = max(rates.get(name, 0.0), one.best)
        if one.holds_bytes is not None:
            held[name] = max(held.get(name, 0), one.holds_bytes)
    rate = rates.get(MEMORY, 0.0)
    if rate <= 0:
        return ()
    levels = [Level(MEMORY, None, rate)]
    for name in sorted(held, key=lambda name: -held[name]):  # from the memory inwards
        rate = max(rate, rates[name])
        levels.insert(0, Level(name, held[name], rate))
    return tuple(levels)
