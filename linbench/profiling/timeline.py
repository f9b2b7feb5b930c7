"""Timeline: the memory blocks of one call, their lifetime and purpose, and the blocks alive at the peak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

KINDS = ("outputs", "state", "saved", "workspace")
"""The purposes of a block; if a block has several, the first in this order counts."""


@dataclass(frozen=True)
class Step:
    """An allocation, a release, or a mark with the purpose of a block.

    Attributes:
        time_ns: Time on the profiler's clock.
        address: Address of the block.
        bytes: Allocated bytes; negative for a release, zero for a mark.
        operator: Operator that allocated the block; empty if none.
        kind: Purpose of the block, one of `KINDS`; empty for an allocation or a release.
    """

    time_ns: int
    address: int
    bytes: int
    operator: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Block:
    """A memory block from its allocation to its release.

    Attributes:
        start_s: Time of the allocation since the start of the call, seconds.
        end_s: Time of the release; None if the block outlived the call.
        bytes: Size of the block.
        operator: Operator that allocated it.
        kind: One of `KINDS`.
    """

    start_s: float
    end_s: float | None
    bytes: int
    operator: str
    kind: str


@dataclass(frozen=True)
class Timeline:
    """The blocks of one call.

    Attributes:
        blocks: Blocks in order of allocation.
        length_s: Duration of the call under the profiler, seconds.
    """

    blocks: tuple[Block, ...]
    length_s: float

    def alive(self, time_s: float) -> list[Block]:
        """Return the blocks that are alive at a time."""
        return [
            block
            for block in self.blocks
            if block.start_s <= time_s and (block.end_s is None or block.end_s > time_s)
        ]

    def peak_s(self) -> float:
        """Return the first time at which the most bytes are alive, seconds."""
        changes = [(block.start_s, 1, block.bytes) for block in self.blocks]
        changes += [(block.end_s, 0, -block.bytes) for block in self.blocks if block.end_s is not None]
        peak_s, alive, most = 0.0, 0, 0
        for time_s, _, size in sorted(changes):
            alive += size
            if alive > most:
                peak_s, most = time_s, alive
        return peak_s

    def peak(self) -> dict[str, int]:
        """Return the bytes at the peak: of each of `KINDS`, and the total as `peak`."""
        alive = self.alive(self.peak_s())
        parts = {kind: sum(block.bytes for block in alive if block.kind == kind) for kind in KINDS}
        return {"peak": sum(parts.values()), **parts}


def timeline(steps: Sequence[Step]) -> Timeline:
    """Return the timeline of the steps of a call; blocks allocated before the call are omitted."""
    if not steps:
        return Timeline((), 0.0)
    in_order = sorted(steps, key=lambda step: step.time_ns)
    first_ns, last_ns = in_order[0].time_ns, in_order[-1].time_ns
    alive: dict[int, tuple[Step, str]] = {}
    blocks = []
    for step in in_order:
        if step.kind:
            if step.address in alive:
                allocation, kind = alive[step.address]
                alive[step.address] = allocation, min(kind, step.kind, key=KINDS.index)
        elif step.bytes > 0:
            alive[step.address] = step, KINDS[-1]
        elif step.address in alive:
            allocation, kind = alive.pop(step.address)
            blocks.append(_block(allocation, kind, first_ns, (step.time_ns - first_ns) * 1e-9))
    blocks += [_block(allocation, kind, first_ns, None) for allocation, kind in alive.values()]
    return Timeline(tuple(sorted(blocks, key=lambda block: block.start_s)), (last_ns - first_ns) * 1e-9)


def _block(allocation: Step, kind: str, first_ns: int, end_s: float | None) -> Block:
    start_s = (allocation.time_ns - first_ns) * 1e-9
    return Block(start_s, end_s, allocation.bytes, allocation.operator, kind)


Level = tuple[float, dict[str, int]]
"""A time, seconds, and the bytes of each kind that are alive at that time."""


def levels(timeline: Timeline, points: int) -> list[Level]:
    """Return the bytes alive at this many evenly spaced times and at the peak."""
    times_s = sorted({timeline.peak_s(), *(timeline.length_s * n / (points - 1) for n in range(points))})
    changes = [(block.start_s, block.kind, block.bytes) for block in timeline.blocks]
    changes += [
        (block.end_s, block.kind, -block.bytes) for block in timeline.blocks if block.end_s is not None
    ]
    changes.sort(reverse=True)
    alive, by_time = dict.fromkeys(KINDS, 0), []
    for time_s in times_s:
        while changes and changes[-1][0] <= time_s:
            _, kind, size = changes.pop()
            alive[kind] += size
        by_time.append((time_s, dict(alive)))
    return by_time
