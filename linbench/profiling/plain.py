"""Plain: what calls take without a profiler, before one looks at them."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import torch

from linbench.core.profile import Breakdown, Line
from linbench.measure.call import Call

PROFILED_S = 0.3
MOST_CALLS = 20
WARM_CALLS = 3
LONG_CALL_S = 1.0


@dataclass(frozen=True)
class Plain:
    """What one call without a profiler took.

    Attributes:
        wall_s: Wall time, seconds.
        cpu_s: Processor time of the process, seconds.
        page_faults: Minor page faults.
    """

    wall_s: float
    cpu_s: float
    page_faults: float


def plain_calls(call: Call) -> list[Plain]:
    """Return what as many calls took as are to be profiled, after a few to warm up."""
    n = max(1, min(MOST_CALLS, round(PROFILED_S / warm(call))))
    return [plainly(call) for _ in range(n)]


def breakdown(
    lines: tuple[Line, ...], wall_s: float, plain: Sequence[Plain], times_s: Mapping[str, float]
) -> Breakdown:
    """Return where the time of calls went, beside what as many took without a profiler.

    Args:
        lines: Where it went.
        wall_s: Wall time of a call under the profiler, seconds.
        plain: The calls without a profiler.
        times_s: Other times of a call, by name, seconds.
    """
    return Breakdown(
        lines,
        len(plain),
        wall_s,
        plain_s=median(one.wall_s for one in plain),
        cpu_s=median(one.cpu_s for one in plain),
        page_faults=median(one.page_faults for one in plain),
        threads=torch.get_num_threads(),
        times_s=times_s,
    )


def warm(call: Call) -> float:
    """Return the time of a call after a few, of one if it is long, seconds."""
    for _ in range(WARM_CALLS):
        wall_s = plainly(call).wall_s
        if wall_s > LONG_CALL_S:
            break
    return wall_s


def plainly(call: Call) -> Plain:
    """Return what a call takes without a profiler."""
    call.prepare()
    wait(call)
    faults, cpu_s, start = _faults(), time.process_time(), time.perf_counter()
    call()
    wait(call)
    wall_s = time.perf_counter() - start
    return Plain(wall_s, time.process_time() - cpu_s, _faults() - faults)


def wait(call: Call) -> None:
    """Wait for the device of a call."""
    if call.case.device == "cuda":
        torch.cuda.synchronize()


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
