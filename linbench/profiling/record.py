"""Record: one implementation at one case under torch's profiler, in a process of its own."""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, cast

import torch
from torch._C._profiler import _RecordFunctionFast as Range
from torch.profiler import ProfilerActivity, profile

from linbench.core.profile import Breakdown, Kind
from linbench.core.timer import TIMERS
from linbench.measure.call import Call
from linbench.measure.timers import CannotTime, timer_for
from linbench.profiling.breakdown import device_lines, host_lines
from linbench.profiling.span import Span, spans

PROFILED_S = 0.3
MOST_CALLS = 20
WARM_CALLS = 3
LONG_CALL_S = 1.0
TIMER_CALLS = 5
ALLOCATORS = ("aten::empty", "aten::new_empty")


@dataclass(frozen=True)
class Plain:
    """What calls without a profiler took, each.

    Attributes:
        wall_s: Wall time, seconds.
        cpu_s: Processor time of the process, seconds.
        page_faults: Minor page faults.
    """

    wall_s: float
    cpu_s: float
    page_faults: float


def phases(call: Call) -> dict[str, str]:
    """Return the phase of each range of a call, by name: operator/implementation and phase."""
    names = ("fwd", "bwd") if call.case.mode == "fwd_bwd" else (call.case.mode,)
    return {f"{call.implementation.name} {name}": name for name in names}


def in_ranges(call: Call) -> Any:
    """Make a call as `Call` does, each phase in a range of its name, and return what it returns."""
    first, *second = (ranged(name, call.case.device) for name in phases(call))
    if not second:
        with first, torch.no_grad():
            return call.forward()
    with first:
        output = call.forward()
    with second[0]:
        return output, call.backward(output)


def ranged(name: str, device: str) -> AbstractContextManager[Any]:
    """Return a range of torch's profiler and, on CUDA, of NVTX too, which Nsight reads.

    torch's own `record_function` takes several times as long to enter and to leave.
    """
    return _with_nvtx(name) if device == "cuda" else cast(AbstractContextManager[Any], Range(name))


@contextmanager
def _with_nvtx(name: str) -> Iterator[None]:
    with torch.cuda.nvtx.range(name), Range(name):
        yield


def record(call: Call, trace: Path) -> Breakdown:
    """Return where the time of a call went, and write the Chrome trace, gzipped if the name ends so."""
    call_s = warm(call)
    n = max(1, min(MOST_CALLS, round(PROFILED_S / call_s)))
    plain = [plainly(call) for _ in range(n)]
    activities = [ProfilerActivity.CPU]
    if call.case.device == "cuda":
        activities.append(ProfilerActivity.CUDA)
    wall_s = 0.0
    gc.collect()
    gc.disable()
    try:
        with profile(
            activities=activities, record_shapes=True, profile_memory=True, with_flops=True
        ) as profiled:
            for _ in range(n):
                call.prepare()
                start = time.perf_counter()
                in_ranges(call)
                wall_s += time.perf_counter() - start
                wait(call)
    finally:
        gc.enable()
    profiled.export_chrome_trace(str(trace))
    results = profiled.profiler.kineto_results if profiled.profiler else None
    return broken_down(call, spans(results.events() if results else ()), n, wall_s / n, plain)


def broken_down(call: Call, found: list[Span], n: int, wall_s: float, plain: list[Plain]) -> Breakdown:
    """Return the breakdown of the trace of n calls.

    Args:
        call: What was called.
        found: The trace.
        n: How many calls it is of.
        wall_s: Wall time of one of them on the host, seconds.
        plain: The calls without a profiler.
    """
    times_s = {}
    if call.case.device == "cuda":
        lines = device_lines(found, phases(call), n)
        wall_s = sum(line.self_s for line in lines)
        times_s = {"kernels": sum(line.self_s for line in lines if line.kind is Kind.KERNEL)}
        times_s |= timed(call)
    else:
        lines = host_lines(found, phases(call), n, kind_of)
    return Breakdown(
        lines=lines,
        calls=n,
        wall_s=wall_s,
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


def timed(call: Call) -> dict[str, float]:
    """Return the median of a few calls by each of the device's timers that can time it, seconds."""
    found = {}
    for name in (name for name, device in TIMERS.items() if device == call.case.device):
        try:
            take = timer_for(name, call.case.device).bind(call)
            samples = []
            for _ in range(TIMER_CALLS):
                call.prepare()
                samples.append(take().seconds)
        except CannotTime:
            continue
        found[name] = median(samples)
    return found


def wait(call: Call) -> None:
    """Wait for the device of a call."""
    if call.case.device == "cuda":
        torch.cuda.synchronize()


@cache
def kind_of(name: str, called: bool) -> Kind:
    """Return what the time of an operator itself is of, by how torch has it registered.

    What returns a view, allocates, or is made of other operators only dispatches. What has no kernel for the
    CPU but calls no other operator (copy_) computes.
    """
    schemas = torch._C._jit_get_schemas_for_operator(name) if "::" in name else []
    if name.startswith(ALLOCATORS) or any(_is_view(schema) for schema in schemas):
        return Kind.DISPATCHER
    overloads = [f"{schema.name}.{schema.overload_name}".rstrip(".") for schema in schemas]
    if any(_has_kernel(overload, "CPU") for overload in overloads):
        return Kind.OPERATOR
    if not called and any(_has_kernel(overload, "CompositeExplicitAutograd") for overload in overloads):
        return Kind.OPERATOR
    return Kind.DISPATCHER


def _is_view(schema: Any) -> bool:
    return any(given.alias_info is not None and not given.alias_info.is_write for given in schema.returns)


def _has_kernel(overload: str, key: str) -> bool:
    has: Callable[..., bool] = torch._C._dispatch_has_kernel_for_dispatch_key
    return torch._C._dispatch_has_kernel(overload) and has(overload, key)


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
