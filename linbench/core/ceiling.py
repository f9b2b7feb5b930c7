"""Ceiling: the most that a machine was seen to do, of one kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from linbench.core.bounds import Bytes, Choice, Count, Magnitude, Name


@dataclass(frozen=True)
class Ceiling:
    """One ceiling, of several repetitions.

    Attributes:
        name: As in copy.L2, copy.memory, matmul.float32, dispatch or timer.
        device: cpu or cuda.
        threads: Of the host, all busy with the same; 1 for latencies.
        unit: B/s, FLOP/s or s.
        best: The highest rate, or the shortest time.
        median: Of the repetitions.
        worst: The lowest rate, or the longest time.
        command: What was run.
        holds_bytes: What the cache that was copied in holds, over these threads; None for all else.
    """

    name: Name
    device: Annotated[str, Choice(("cpu", "cuda"))]
    threads: Count
    unit: Annotated[str, Choice(("B/s", "FLOP/s", "s"))]
    best: Magnitude
    median: Magnitude
    worst: Magnitude
    command: str
    holds_bytes: Bytes | None = None


@dataclass(frozen=True)
class Ceilings:
    """The ceilings of a machine.

    Attributes:
        measured_at: When, ISO 8601 in UTC; empty if they were not.
        entries: Each ceiling.
    """

    measured_at: str = ""
    entries: tuple[Ceiling, ...] = ()
