"""Record: one implementation at one case under torch's profiler, in a process of its own."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from torch._C._profiler import _RecordFunctionFast as Range
from torch.profiler import ProfilerActivity, profile

from linbench.core.profile import Breakdown, Kind, Line
from linbench.core.timer import TIMERS
from linbench.measure.call import Call
from linbench.measure.timers import CannotTime, timer_for
from linbench.profiling.breakdown import device_lines, host_lines, longest_first
from linbench.profiling.phase import phases
from linbench.profiling.plain import Plain, breakdown, plain_calls, wait
from linbench.profiling.ranges import in_ranges, ranges
from linbench.profiling.span import Span, spans

TIMER_CALLS = 5
EDGES = "entering and leaving the range"
EMPTY = "linbench: an empty range"
ALLOCATORS = ("aten::empty", "aten::new_empty")


def profile_call(call: Call, trace: Path) -> Breakdown:
    """Return where the time of a call went, and write the Chrome trace, gzipped if the name ends so."""
    plain = plain_calls(call)
    activities = [ProfilerActivity.CPU]
    if call.case.device == "cuda":
        activities.append(ProfilerActivity.CUDA)
    around, empty = ranges(call), Range(EMPTY)
    walls_s, empty_s = [], []
    gc.collect()
    gc.disable()
    try:
        with profile(
            activities=activities, record_shapes=True, profile_memory=True, with_flops=True
        ) as profiled:
            for _ in plain:
                call.prepare()
                start = time.perf_counter()
                in_ranges(call, around)
                walls_s.append(time.perf_counter() - start)
                wait(call)
                start = time.perf_counter()
                with empty:
                    pass
                empty_s.append(time.perf_counter() - start)
    finally:
        gc.enable()
    profiled.export_chrome_trace(str(trace))
    results = profiled.profiler.kineto_results if profiled.profiler else None
    found = spans(results.events() if results else ())
    return broken_down(call, found, mean(walls_s), edges_s(found, empty_s), plain)


def edges_s(found: Sequence[Span], walls_s: Sequence[float]) -> float:
    """Return what entering and leaving a range takes outside of it, by empty ones: seconds, a median."""
    empty = sorted((span for span in found if span.name == EMPTY), key=lambda span: span.start_ns)
    return median(
        wall_s - (span.end_ns - span.start_ns) * 1e-9 for span, wall_s in zip(empty, walls_s, strict=True)
    )


def broken_down(call: Call, found: list[Span], wall_s: float, edge_s: float, plain: list[Plain]) -> Breakdown:
    """Return the breakdown of a trace.

    Args:
        call: What was called.
        found: The trace, of as many calls as were made without a profiler.
        wall_s: Wall time of one of them on the host, seconds.
        edge_s: Of that, what entering and leaving a range takes outside of it.
        plain: The calls without a profiler.
    """
    named, times_s = phases(call.implementation.name, call.case.mode), {}
    if call.case.device == "cuda":
        lines = device_lines(found, named, len(plain))
        wall_s = sum(line.self_s for line in lines)
        times_s = {"kernels": sum(line.self_s for line in lines if line.kind is Kind.KERNEL)}
        times_s |= timed(call)
    else:
        edges = [Line(phase, EDGES, Kind.PYTHON, 1, edge_s, edge_s) for phase in named.values()]
        lines = longest_first((*host_lines(found, named, len(plain), kind_of), *edges))
    return breakdown(lines, wall_s, plain, times_s)


def timed(call: Call) -> dict[str, float]:
    """Return the median of a few calls by each of the device's timers that can time it, seconds."""
    found = {}
    for name in (name for name, device in TIMERS.items() if device == call.case.device):
        try:
            take = timer_for(name, call.case.device).bind(call)
            samples = []
            for _ in range(TIMER_CALLS):
                call.prepare()
                samples.append(take()[0].time_s[0])
        except CannotTime:
            continue
        found[name] = median(samples)
    return found


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
