"""Timeline: what one call allocated, when, what for, and what of it stood at the peak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

KINDS = ("outputs", "state", "saved", "workspace")
"""What a block is for; where it is several of these, the first counts."""


@dataclass(frozen=True)
class Step:
    """An allocation, a release, or the finding that a block is for something.

    Attributes:
        time_ns: When, on the profiler's clock.
        address: Of the block.
        bytes: Taken; less than zero if given back, zero for a finding.
        operator: That took it; empty if none.
        kind: What it was found to be for, one of `KINDS`; empty for an allocation or a release.
    """

    time_ns: int
    address: int
    bytes: int
    operator: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Block:
    """Memory from when it was taken to when it was given back.

    Attributes:
        start_s: After the start of the call, seconds.
        end_s: When it was given back; None if it outlived the call.
        bytes: Its size.
        operator: That took it.
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
        blocks: As they were taken.
        length_s: Of the call under the profiler, seconds.
    """

    blocks: tuple[Block, ...]
    length_s: float

    def alive(self, time_s: float) -> list[Block]:
        """Return the blocks that stand at a time."""
        return [
            one for one in self.blocks if one.start_s <= time_s and (one.end_s is None or one.end_s > time_s)
        ]

    def peak_s(self) -> float:
        """Return when the most bytes stand; the first time of several."""
        changes = [(one.start_s, 1, one.bytes) for one in self.blocks]
        changes += [(one.end_s, 0, -one.bytes) for one in self.blocks if one.end_s is not None]
        at, held, most = 0.0, 0, 0
        for time_s, _, size in sorted(changes):
            held += size
            if held > most:
                at, most = time_s, held
        return at

    def peak(self) -> dict[str, int]:
        """Return the bytes at the peak: of each of `KINDS`, and of all as peak."""
        alive = self.alive(self.peak_s())
        parts = {kind: sum(one.bytes for one in alive if one.kind == kind) for kind in KINDS}
        return {"peak": sum(parts.values()), **parts}


def timeline(steps: Sequence[Step]) -> Timeline:
    """Return the timeline of what happened in a call; what was given back and not taken in it is left out."""
    if not steps:
        return Timeline((), 0.0)
    in_order = sorted(steps, key=lambda step: step.time_ns)
    first_ns, last_ns = in_order[0].time_ns, in_order[-1].time_ns
    alive: dict[int, tuple[Step, str]] = {}
    blocks = []
    for step in in_order:
        if step.kind:
            if step.address in alive:
                taken, before = alive[step.address]
                alive[step.address] = taken, min(before, step.kind, key=KINDS.index)
        elif step.bytes > 0:
            alive[step.address] = step, KINDS[-1]
        elif step.address in alive:
            taken, kind = alive.pop(step.address)
            blocks.append(_block(taken, kind, first_ns, (step.time_ns - first_ns) * 1e-9))
    blocks += [_block(taken, kind, first_ns, None) for taken, kind in alive.values()]
    return Timeline(tuple(sorted(blocks, key=lambda one: one.start_s)), (last_ns - first_ns) * 1e-9)


def _block(taken: Step, kind: str, first_ns: int, end_s: float | None) -> Block:
    return Block((taken.time_ns - first_ns) * 1e-9, end_s, taken.bytes, taken.operator, kind)


Level = tuple[float, dict[str, int]]
"""A time, seconds, and the bytes of each kind that stand then."""


def levels(found: Timeline, points: int) -> list[Level]:
    """Return what stands at so many times, evenly spread, and at the peak."""
    at_s = sorted({found.peak_s(), *(found.length_s * n / (points - 1) for n in range(points))})
    changes = [(one.start_s, one.kind, one.bytes) for one in found.blocks]
    changes += [(one.end_s, one.kind, -one.bytes) for one in found.blocks if one.end_s is not None]
    changes.sort(reverse=True)
    held, walked = dict.fromkeys(KINDS, 0), []
    for time_s in at_s:
        while changes and changes[-1][0] <= time_s:
            _, kind, size = changes.pop()
            held[kind] += size
        walked.append((time_s, dict(held)))
    return walked
