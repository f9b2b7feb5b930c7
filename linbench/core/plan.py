"""Plan: what a run was asked to measure, and how."""

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
        timer: Name of the timer, one of `linbench.core.timer.TIMERS`; None for the device's default, by which
            a schedule replaces it.
        once: Run everything once, checked and untimed.
        processes: Workers that each take samples of an implementation at a case.
        precision: Half width of the interval, relative to the median, at which no further round is taken in
            a process and no further process is asked (three at least are), and beyond which a row is
            flagged unstable.
        min_time_s: Timed seconds to spend on an implementation at a case at least, over all its processes.
        max_time_s: Timed seconds after which it is given up to reach the precision, over all its processes.
        max_samples: Most timed calls of an implementation at a case.
        timeout_s: Seconds in one process after which an implementation at a case is given up.
        max_memory_bytes: Most resident memory of a worker; None for a safe share of what is free.
        time_limit_s: Seconds after which no further case is started; None for no such bound.
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
    """Everything that a run is to measure; enough to resume it.

    Attributes:
        grid: The axes.
        device: cpu or cuda.
        implementations: Full names.
        plugins: Files that were named with --plugin, absolute.
        settings: How each case is measured.
        command: The words that were typed; none for a run that no command began.
    """

    grid: Grid
    device: Annotated[str, Choice(DEVICES)]
    implementations: tuple[Name, ...] = ()
    plugins: tuple[str, ...] = ()
    settings: Settings = field(default_factory=Settings)
    command: tuple[str, ...] = ()
