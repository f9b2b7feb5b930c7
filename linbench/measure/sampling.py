"""Sampling: warm-up until the time of a call is stable, then turns of timed calls."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from statistics import median

from linbench.core.samples import Samples
from linbench.measure.hygiene import copy_result
from linbench.measure.timers import TimedCall, Timer, identity

WARM_WINDOW = 3
WARM_AGREEMENT = 0.05
WALL_FACTOR = 4


def warm_up(
    call: TimedCall, timer: Timer, cap_s: float, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Warm up and return the time of one warm call, seconds.

    Calls until the medians of two successive windows of three calls agree within 5%, or until the cap.
    """
    sample = timer.bind(call)
    start = clock()
    windows: list[float] = []
    while True:
        window = []
        for _ in range(WARM_WINDOW):
            call.prepare()
            window.append(sample()[0].time_s[0])
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
    """Return the samples of one turn, and the result of its last call as of the end of that call.

    Calls are made until their times add up to `duration_s`, at least one. The garbage collector is off during
    the turn. Only timed calls count towards the duration; the one-time set-up of the timer does not. The
    result of a call is copied at once if the turn is expected to end with it, that is, if the duration of the
    call equals that of the previous one (`call_s` for the first).
    """
    parts: list[Samples] = []
    returned: object = None
    timed_s = 0.0
    gc.collect()
    gc.disable()
    try:
        take_sample = timer.bind(call)
        start = clock()
        wall_s = lap_s = 0.0
        while not parts or (
            timed_s < duration_s and wall_s < WALL_FACTOR * duration_s and len(parts) < max_samples
        ):
            is_last = (
                timed_s + call_s >= duration_s
                or wall_s + lap_s >= WALL_FACTOR * duration_s
                or len(parts) + 1 >= max_samples
            )
            returned = None
            call.prepare()
            sample, returned = take_sample(copy_result if is_last else identity)
            parts.append(sample)
            call_s = sample.time_s[0]
            timed_s += call_s
            lap_s = clock() - start - wall_s
            wall_s += lap_s
    finally:
        gc.enable()
    return Samples.join(parts), returned
