"""Sampling: warm-up until the time settles, then turns of timed calls."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from linbench.measure.hygiene import copied
from linbench.measure.timers import Sample, Timed, Timer, as_it_is

WARM_WINDOW = 3
WARM_AGREEMENT = 0.05
WALL_FACTOR = 4


@dataclass
class Turn:
    """What one turn of timed calls gave.

    Attributes:
        samples_s: Seconds of each call.
        contended: How many of them were disturbed.
        cpu_s: Processor time of the process in each, seconds; empty where the timer does not tell.
        switches: Involuntary context switches of the process in each.
        kernels_s: Sum of the kernels' times in each, seconds; empty where the timer does not tell.
        last: What the last call returned, as it stood when the call did, if that was seen to be the last.
    """

    samples_s: list[float] = field(default_factory=list)
    contended: int = 0
    cpu_s: list[float] = field(default_factory=list)
    switches: list[int] = field(default_factory=list)
    kernels_s: list[float] = field(default_factory=list)
    last: Any = None

    def add(self, sample: Sample) -> None:
        """Take in a sample, and hold what it returned as the last."""
        self.samples_s.append(sample.seconds)
        self.contended += sample.contended
        self.switches.append(sample.switches)
        if sample.cpu_s is not None:
            self.cpu_s.append(sample.cpu_s)
        if sample.kernels_s is not None:
            self.kernels_s.append(sample.kernels_s)
        self.last = sample.returned


def warm_up(call: Timed, timer: Timer, cap_s: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the time of one warm call, seconds.

    Calls until the medians of two successive windows of three calls agree within 5%, or until the cap.
    """
    take = timer.bind(call)
    start = clock()
    windows: list[float] = []
    while True:
        window = []
        for _ in range(WARM_WINDOW):
            call.prepare()
            window.append(take().seconds)
            if clock() - start > cap_s:
                return median(window)
        windows.append(median(window))
        if len(windows) > 1 and abs(windows[-1] - windows[-2]) <= WARM_AGREEMENT * windows[-2]:
            return windows[-1]


def take_turn(
    call: Timed,
    timer: Timer,
    budget_s: float,
    max_samples: int,
    call_s: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Turn:
    """Return the samples of one turn: calls until the budget is spent, at least one.

    The garbage collector is off meanwhile. Only timed calls count towards the budget; what the timer makes
    once, to time a call at all, counts towards nothing. A call after which the turn will be over, if it takes
    as long as the one before (`call_s` for the first), is copied at once.
    """
    turn = Turn()
    spent = 0.0
    gc.collect()
    gc.disable()
    try:
        take = timer.bind(call)
        start = clock()
        wall_s = lap_s = 0.0
        while not turn.samples_s or (
            spent < budget_s and wall_s < WALL_FACTOR * budget_s and len(turn.samples_s) < max_samples
        ):
            last = (
                spent + call_s >= budget_s
                or wall_s + lap_s >= WALL_FACTOR * budget_s
                or len(turn.samples_s) + 1 >= max_samples
            )
            turn.last = None
            call.prepare()
            sample = take(copied if last else as_it_is)
            turn.add(sample)
            call_s = sample.seconds
            spent += call_s
            lap_s = clock() - start - wall_s
            wall_s += lap_s
            del sample
    finally:
        gc.enable()
    return turn
