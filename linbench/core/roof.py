"""Roof: the least time for some work under a machine's measured ceilings."""

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
"""By dtype, the types in which a product of such operands can be computed without loss of precision."""

MEMORY: Final = "memory"


@dataclass(frozen=True)
class Level:
    """A cache level or the main memory, with its bandwidth.

    Attributes:
        name: L1, L2, ... or memory.
        holds_bytes: Capacity of a cache over all cores; None for the memory.
        bytes_per_s: Most bytes read and written per second.
    """

    name: str
    holds_bytes: int | None
    bytes_per_s: float


@dataclass(frozen=True)
class Bound:
    """The least time for some work on a machine.

    Attributes:
        seconds: The time, seconds.
        limit: What limits it: compute or memory.
    """

    seconds: float
    limit: str


@dataclass(frozen=True)
class Roof:
    """The roofline of a device for operands of one type.

    Attributes:
        flops_per_s: Peak floating-point operations per second.
        levels: Memory levels, from the nearest cache to the memory.
    """

    flops_per_s: float
    levels: tuple[Level, ...]

    def moving_s(self, moved_bytes: float) -> float:
        """Return the least time to move this many bytes, seconds.

        t = sum over levels of b / r: the b bytes that fit in a level but not in the one before move at its
        rate r, and the bytes that fit in no cache move at the memory's rate. A call that is repeated finds
        its tensors in the caches, as far as they fit, so the memory's rate alone would not be a valid bound.
        """
        seconds, covered_bytes = 0.0, 0.0
        for level in self.levels:
            reach = moved_bytes if level.holds_bytes is None else min(moved_bytes, level.holds_bytes)
            seconds += max(0.0, reach - covered_bytes) / level.bytes_per_s
            covered_bytes = max(covered_bytes, reach)
        return seconds

    def bound(self, work: Work) -> Bound:
        """Return the longer of the time for the useful operations and the time for the fewest bytes."""
        computing_s, moving_s = work.useful_flops / self.flops_per_s, self.moving_s(work.fewest_bytes)
        return Bound(computing_s, "compute") if computing_s >= moving_s else Bound(moving_s, "memory")


Roofs = Mapping[tuple[str, str], Roof]
"""Roofs by device and dtype, as far as a machine's ceilings were measured."""


def roofs_of(ceilings: Sequence[Ceiling]) -> dict[tuple[str, str], Roof]:
    """Return the roof of each device and dtype for which matrix products and copies in memory were measured.

    The peak of the operations is the fastest matrix product in the dtype or in a wider one, by any number of
    threads, and that of the bytes the fastest copies; no level is slower than a level further away.
    """
    roofs = {}
    for device in {ceiling.device for ceiling in ceilings}:
        of_device = [ceiling for ceiling in ceilings if ceiling.device == device]
        levels = _levels([ceiling for ceiling in of_device if ceiling.name.startswith("copy.")])
        for dtype in DTYPES:
            names = {f"matmul.{wider}" for wider in WIDER[dtype]}
            products = [ceiling.best for ceiling in of_device if ceiling.name in names]
            if levels and max(products, default=0.0) > 0:
                roofs[device, dtype] = Roof(max(products), levels)
    return roofs


def bound_of(roofs: Roofs, case: Case, work: Work | None) -> Bound | None:
    """Return the least time for the work of a case, or None where roof or work is not known."""
    roof = roofs.get((case.device, case.dtype))
    return roof.bound(work) if roof is not None and work is not None else None


def _levels(copies: Sequence[Ceiling]) -> tuple[Level, ...]:
    """Return the levels whose copies were measured; none if the memory is not among them."""
    rates: dict[str, float] = {}
    capacities: dict[str, int] = {}
    for ceiling in copies:
        name = ceiling.name.removeprefix("copy.")
        rates[name] = max(rates.get(name, 0.0), ceiling.best)
        if ceiling.holds_bytes is not None:
            capacities[name] = max(capacities.get(name, 0), ceiling.holds_bytes)
    rate = rates.get(MEMORY, 0.0)
    if rate <= 0:
        return ()
    levels = [Level(MEMORY, None, rate)]
    for name in sorted(capacities, key=lambda name: -capacities[name]):  # from the memory inwards
        rate = max(rate, rates[name])
        levels.insert(0, Level(name, capacities[name], rate))
    return tuple(levels)
