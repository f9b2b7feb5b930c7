"""Timers: how one call is timed on each kind of device."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch

SPIN_CYCLES = 200_000
CONTENDED_GAP = 0.02

Keep = Callable[[Any], Any]


def as_it_is(returned: Any) -> Any:
    """Return what a call returned."""
    return returned


@dataclass(frozen=True)
class Sample:
    """One timed call.

    Attributes:
        seconds: How long it took.
        contended: Whether something else had the processor meanwhile.
        returned: What the call returned, or what `keep` made of it.
    """

    seconds: float
    contended: bool
    returned: Any


class Timer(Protocol):
    """Times one call and gives back what it returned."""

    name: str

    def sample(self, call: Callable[[], Any], keep: Keep = as_it_is) -> Sample:
        """Return the time of one call, whole: work that it started is waited for.

        `keep` is applied to what the call returned, after the clock has stopped and before anything is
        waited for.
        """
        ...


class CpuTimer:
    """Wall time of a call on the CPU, by the monotonic clock.

    A sample is contended if the thread was switched out against its will and waited for more than 2% of
    its wall time.
    """

    name = "cpu"

    def __init__(self, clock_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock_ns = clock_ns

    def sample(self, call: Callable[[], Any], keep: Keep = as_it_is) -> Sample:
        """Return the wall time of one call."""
        before = resource.getrusage(resource.RUSAGE_THREAD)
        start = self._clock_ns()
        returned = call()
        wall_ns = self._clock_ns() - start
        after = resource.getrusage(resource.RUSAGE_THREAD)
        returned = keep(returned)
        busy_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        switched = after.ru_nivcsw > before.ru_nivcsw
        seconds = wall_ns * 1e-9
        return Sample(seconds, switched and seconds - busy_s > CONTENDED_GAP * seconds, returned)


class CudaEventsColdTimer:
    """Device time between two CUDA events, caches cold.

    The L2 cache is flushed by writing more than twice its size; the device is idle when a short spin kernel
    is queued, so that both events and the call's kernels are queued before the device reaches them and
    launch gaps vanish where the host is fast enough.
    """

    name = "cuda_events_cold"

    def __init__(self) -> None:
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        flush_bytes = max(2 * properties.L2_cache_size + 2**20, 2**26)
        self._flush = torch.empty(flush_bytes, dtype=torch.int8, device="cuda")

    def sample(self, call: Callable[[], Any], keep: Keep = as_it_is) -> Sample:
        """Return the device time of one call."""
        start = torch.cuda.Event(enable_timing=True)
        end = torch.cuda.Event(enable_timing=True)
        self._flush.zero_()
        torch.cuda.synchronize()
        torch.cuda._sleep(SPIN_CYCLES)
        start.record()
        returned = call()
        end.record()
        returned = keep(returned)
        torch.cuda.synchronize()
        return Sample(start.elapsed_time(end) * 1e-3, False, returned)


def timer_for(device: str) -> Timer:
    """Return the timer of a kind of device."""
    return CudaEventsColdTimer() if device == "cuda" else CpuTimer()
