"""Sampling: warm-up until the time settles, then turns of timed calls."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from statistics import median

from linbench.core.samples import Samples
from linbench.measure.hygiene import copied
from linbench.measure.timers import TimedCall, Timer, as_it_is

WARM_WINDOW = 3
WARM_AGREEMENT = 0.05
WALL_FACTOR = 4


def warm_up(
    call: TimedCall, timer: Timer, cap_s: float, clock: Callable[[], float] = time.perf_counter
) -> float:
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
            window.append(take()[0].time_s[0])
            if clock() - start > cap_s:
                return median(window)
        windows.append(median(window))
        if len(windows) > 1 and abs(windows[-1] - windows[-2]) <= WARM_AGREEMENT * windows[-2]:
            return windows[-1]


def take_turn(
    call: TimedCall,
    timer: Timer,
    duration_s: float,
    max_samples: int,
    call_s: float,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Samples, object]:
    """Return the samples of one turn, and what its last call returned, as it stood when the call did.

    Calls are made until the tolerance is spent, one at least.

    The garbage collector is off meanwhile. Only timed calls count towards the tolerance; what the timer makes
    once, to time a call at all, counts towards nothing. A call after which the turn will be over, if it takes
    as long as the one before (`call_s` for the first), is copied at once.
    """
    parts: list[Samples] = []
    returned: object = None
    spent = 0.0
    gc.collect()
    gc.disable()
    try:
        take = timer.bind(call)
        start = clock()
        wall_s = lap_s = 0.0
        while not parts or (
            spent < duration_s and wall_s < WALL_FACTOR * duration_s and len(parts) < max_samples
        ):
            last = (
                spent + call_s >= duration_s
                or wall_s + lap_s >= WALL_FACTOR * duration_s
                or len(parts) + 1 >= max_samples
            )
            returned = None
            call.prepare()
            sample, returned = take(copied if last else as_it_is)
            parts.append(sample)
            call_s = sample.time_s[0]
            spent += call_s
            lap_s = clock() - start - wall_s
            wall_s += lap_s
    finally:
        gc.enable()
    return Samples.join(parts), returned
