"""Plain calls: the time of calls without a profiler, measured before they are profiled."""

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
class PlainCall:
    """The cost of one call without a profiler.

    Attributes:
        wall_s: Wall time, seconds.
        cpu_s: CPU time of the process, seconds.
        page_faults: Minor page faults.
    """

    wall_s: float
    cpu_s: float
    page_faults: float


def plain_calls(call: Call) -> list[PlainCall]:
    """Return as many calls without a profiler as will be profiled, after a warm-up."""
    n = max(1, min(MOST_CALLS, round(PROFILED_S / warm_up(call))))
    return [plain_call(call) for _ in range(n)]


def breakdown(
    lines: tuple[Line, ...], wall_s: float, plain: Sequence[PlainCall], times_s: Mapping[str, float]
) -> Breakdown:
    """Return the breakdown of a call's time, with the medians of as many calls without a profiler.

    Args:
        lines: Lines of the breakdown.
        wall_s: Wall time of a call under the profiler, seconds.
        plain: Calls without a profiler.
        times_s: Other times of a call, by name, seconds.
    """
    return Breakdown(
        lines,
        len(plain),
        wall_s,
        plain_s=median(call.wall_s for call in plain),
        cpu_s=median(call.cpu_s for call in plain),
        page_faults=median(call.page_faults for call in plain),
        threads=torch.get_num_threads(),
        times_s=times_s,
    )


def warm_up(call: Call) -> float:
    """Make a few calls, or a single one if it is long, and return the time of the last, seconds."""
    for _ in range(WARM_CALLS):
        wall_s = plain_call(call).wall_s
        if wall_s > LONG_CALL_S:
            break
    return wall_s


def plain_call(call: Call) -> PlainCall:
    """Make a call without a profiler and return its cost."""
    call.prepare()
    wait(call)
    faults, cpu_s, start = _faults(), time.process_time(), time.perf_counter()
    call()
    wait(call)
    wall_s = time.perf_counter() - start
    return PlainCall(wall_s, time.process_time() - cpu_s, _faults() - faults)


def wait(call: Call) -> None:
    """Wait for the device of a call."""
    if call.case.device == "cuda":
        torch.cuda.synchronize()


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
