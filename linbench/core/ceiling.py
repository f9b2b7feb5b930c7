"""Ceiling: a measured upper bound of a machine's performance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from linbench.core.bounds import Bytes, Choice, Count, Magnitude, Name


@dataclass(frozen=True)
class Ceiling:
    """One ceiling, from several repetitions.

    Attributes:
        name: Name, as in copy.L2, copy.memory, matmul.float32, dispatch or timer.
        device: cpu or cuda.
        threads: Host threads that run the same benchmark at once; 1 for latencies.
        unit: B/s, FLOP/s or s.
        best: The highest rate, or the shortest time.
        median: Median of the repetitions.
        worst: The lowest rate, or the longest time.
        command: The benchmark that was run.
        holds_bytes: Capacity of the cache that was copied in, over these threads; None for other ceilings.
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
        measured_at: Time of the measurement, ISO 8601 in UTC; empty if there was none.
        entries: Each ceiling.
    """

    measured_at: str = ""
    entries: tuple[Ceiling, ...] = ()
