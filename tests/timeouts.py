"""Timeouts of tests: longer on a slow or busy machine, so that tests do not fail there.

A fixed piece of work is timed once, when pytest starts. Every timeout is multiplied by how much slower this
was than on an idle machine, and by the load average.
"""

import os
import time

WORK_STEPS = 1_000_000
IDLE_WORK_S = 0.1  # on the machine for which the timeouts were chosen, with no other load
MAX_FACTOR = 20.0
VARIABLE = "LINBENCH_TEST_SLOWNESS"


def calibrate() -> float:
    """Return how many times slower this machine is than the idle one; child processes inherit the figure."""
    if VARIABLE not in os.environ:
        start = time.perf_counter()
        total = 0
        for step in range(WORK_STEPS):
            total += step * step % 7
        os.environ[VARIABLE] = f"{clamp((time.perf_counter() - start) / IDLE_WORK_S):.3g}"
    return float(os.environ[VARIABLE])


def slowness() -> float:
    """Return the factor of a timeout that starts now, from 1 to 20."""
    load = os.getloadavg()[0] / len(os.sched_getaffinity(0))
    return clamp(max(1.0, load) * calibrate())


def timeout_s(idle_s: float) -> float:
    """Return the timeout, seconds, of something that takes less than `idle_s` seconds on an idle machine."""
    return idle_s * slowness()


def clamp(factor: float) -> float:
    return min(MAX_FACTOR, max(1.0, factor))
