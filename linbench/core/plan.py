"""Plan: what a run measures, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from linbench.core.bounds import Bytes, Choice, Count, Magnitude, Name, Seconds
from linbench.core.case import DEVICES
from linbench.core.grid import Grid


@dataclass(frozen=True)
class Settings:
    """How each case is measured.

    Attributes:
        timer: Name of the timer, one of `linbench.core.timer.TIMERS`; None for the device's default, which
            the schedule fills in.
        once: Run everything once, checked and untimed.
        processes: Number of workers that take samples of each implementation at a case.
        precision: Half width of the interval, relative to the median. Once it is reached, a process takes no
            further round and no further process is started (after at least three); a row that does not reach
            it is flagged unstable.
        min_time_s: Least timed seconds for an implementation at a case, over all its processes.
        max_time_s: Timed seconds after which sampling ends even below the precision, over all its processes.
        max_samples: Most timed calls of an implementation at a case.
        timeout_s: Seconds in one process after which an implementation at a case is stopped.
        max_memory_bytes: Most resident memory of a worker; None for a safe share of the free memory.
        time_limit_s: Seconds after which no further case is started; None for no limit.
    """

    timer: str | None = None
    once: bool = False
    processes: Count = 5
    precision: Magnitude = 0.01
    min_time_s: Seconds = 0.5
    max_time_s: Seconds = 1.0
    max_samples: Count = 2000
    timeout_s: Seconds = 120.0
    max_memory_bytes: Bytes | None = None
    time_limit_s: Seconds | None = None


@dataclass(frozen=True)
class Plan:
    """Everything that a run measures; enough to resume it.

    Attributes:
        grid: The axes.
        device: cpu or cuda.
        implementations: Full names.
        plugins: Absolute paths of the files given with --plugin.
        settings: How each case is measured.
        command: The command line; empty for a run that was not started by a command.
    """

    grid: Grid
    device: Annotated[str, Choice(DEVICES)]
    implementations: tuple[Name, ...] = ()
    plugins: tuple[str, ...] = ()
    settings: Settings = field(default_factory=Settings)
    command: tuple[str, ...] = ()
