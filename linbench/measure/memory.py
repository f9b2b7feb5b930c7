"""Memory: the most that one call held at once."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from linbench.core.measurement import Memory

LONG_CALL_S = 2.0


def weigh(call: Callable[[], Any], device: str, input_bytes: int, call_s: float) -> tuple[Memory, int]:
    """Return the peak memory of one call, and the bytes that it left allocated when its result was dropped.

    On CUDA torch's allocator keeps the peak. On the CPU every allocation and release of torch is recorded by
    its profiler and summed in order, which is exact but keeps about 2 kB an event; a call longer than
    `LONG_CALL_S` is weighed by the peak resident set of the process instead, right to about 1 MB. What an
    implementation takes elsewhere than from torch is seen by the resident set only, which does not tell what
    a call left: that is 0 then.

    Args:
        call: What to weigh; what it returns is counted.
        device: cpu or cuda.
        input_bytes: Bytes of what the call is given, added to what it took for `peak_bytes`.
        call_s: How long the call is known to take, seconds.
    """
    gc.collect()
    if device == "cuda":
        (extra, kept), meter = _cuda_extra(call), "allocator"
    elif call_s <= LONG_CALL_S:
        (extra, kept), meter = _recorded_extra(call), "allocator"
    else:
        extra, kept, meter = _resident_extra(call), 0, "rss"
    return Memory(peak_bytes=input_bytes + extra, extra_bytes=extra, meter=meter), kept


def _cuda_extra(call: Callable[[], Any]) -> tuple[int, int]:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    returned = call()
    torch.cuda.synchronize()
    del returned
    return torch.cuda.max_memory_allocated() - before, torch.cuda.memory_allocated() - before


def _recorded_extra(call: Callable[[], Any]) -> tuple[int, int]:
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        returned = call()
        del returned
    results = profile.profiler.kineto_results if profile.profiler else None
    alive = peak = 0
    for event in results.events() if results else ():
        if event.name() == "[memory]":
            alive += event.nbytes()
            peak = max(peak, alive)
    return peak, alive


def _resident_extra(call: Callable[[], Any]) -> int:
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status_bytes("VmRSS")
    returned = call()
    del returned
    return max(0, _status_bytes("VmHWM") - before)


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}")
