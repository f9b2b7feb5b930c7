"""Timeouts of tests: longer on a machine that is slow or busy, so that such a machine fails no test.

A fixed piece of work is timed once, where pytest starts; what it takes longer than on a calm machine, and
what the load average says later, are the factor of every timeout.
"""

import os
import time

WORK_STEPS = 1_000_000
CALM_WORK_S = 0.1  # on the machine that the timeouts were chosen on, with nothing else running
MOST = 20.0
VARIABLE = "LINBENCH_TEST_SLOWNESS"


def calibrate() -> float:
    """Return how many times slower than the calm machine this one is; processes started later inherit it."""
    if VARIABLE not in os.environ:
        start = time.perf_counter()
        total = 0
        for step in range(WORK_STEPS):
            total += step * step % 7
        os.environ[VARIABLE] = f"{bounded((time.perf_counter() - start) / CALM_WORK_S):.3g}"
    return float(os.environ[VARIABLE])


def slowness() -> float:
    """Return the factor of a timeout that begins now, from 1 to 20."""
    waiting = os.getloadavg()[0] / len(os.sched_getaffinity(0))
    return bounded(max(1.0, waiting) * calibrate())


def timeout_s(calm_s: float) -> float:
    """Return how long to wait for what takes less than `calm_s` seconds on a calm machine."""
    return calm_s * slowness()


def bounded(factor: float) -> float:
    return min(MOST, max(1.0, factor))
