"""Torch profiler: profiles one implementation at one case, in a separate process."""

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
from linbench.profiling.plain import PlainCall, breakdown, plain_calls, wait
from linbench.profiling.ranges import in_ranges, ranges
from linbench.profiling.span import Span, spans

TIMER_CALLS = 5
EDGES = "entering and leaving the range"
EMPTY = "linbench: an empty range"
ALLOCATORS = ("aten::empty", "aten::new_empty")


def profile_call(call: Call, trace: Path) -> Breakdown:
    """Return the breakdown of a call's time and write the Chrome trace, gzipped if its name ends in .gz."""
    plain = plain_calls(call)
    activities = [ProfilerActivity.CPU]
    if call.case.device == "cuda":
        activities.append(ProfilerActivity.CUDA)
    phase_ranges, empty = ranges(call), Range(EMPTY)
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
                in_ranges(call, phase_ranges)
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
    events = spans(results.events() if results else ())
    return trace_breakdown(call, events, mean(walls_s), edges_s(events, empty_s), plain)


def edges_s(trace: Sequence[Span], walls_s: Sequence[float]) -> float:
    """Return the time that a range adds outside itself when it is entered and exited, seconds.

    The median over empty ranges, whose wall times are `walls_s`.
    """
    empty = sorted((span for span in trace if span.name == EMPTY), key=lambda span: span.start_ns)
    return median(
        wall_s - (span.end_ns - span.start_ns) * 1e-9 for span, wall_s in zip(empty, walls_s, strict=True)
    )


def trace_breakdown(
    call: Call, trace: list[Span], wall_s: float, edge_s: float, plain: list[PlainCall]
) -> Breakdown:
    """Return the breakdown of a trace.

    Args:
        call: The call.
        trace: The spans of as many calls as were made without a profiler.
        wall_s: Wall time of a profiled call on the host, seconds.
        edge_s: Part of the wall time that each range adds outside itself, seconds; see `edges_s`.
        plain: Calls without a profiler.
    """
    phase_of, times_s = phases(call.implementation.name, call.case.mode), {}
    if call.case.device == "cuda":
        lines = device_lines(trace, phase_of, len(plain))
        wall_s = sum(line.self_s for line in lines)
        times_s = {"kernels": sum(line.self_s for line in lines if line.kind is Kind.KERNEL)}
        times_s |= timer_medians(call)
    else:
        edges = [Line(phase, EDGES, Kind.PYTHON, 1, edge_s, edge_s) for phase in phase_of.values()]
        lines = longest_first((*host_lines(trace, phase_of, len(plain), kind_of), *edges))
    return breakdown(lines, wall_s, plain, times_s)


def timer_medians(call: Call) -> dict[str, float]:
    """Return the median time of a few calls by each timer of the device that supports the call, seconds."""
    medians = {}
    for name in (name for name, device in TIMERS.items() if device == call.case.device):
        try:
            take = timer_for(name, call.case.device).bind(call)
            samples = []
            for _ in range(TIMER_CALLS):
                call.prepare()
                samples.append(take()[0].time_s[0])
        except CannotTime:
            continue
        medians[name] = median(samples)
    return medians


@cache
def kind_of(name: str, has_children: bool) -> Kind:
    """Return the kind of an operator's self time, from its registration in torch.

    An operator that returns a view, allocates, or is composed of other operators only dispatches. An operator
    without a CPU kernel that calls no other operator (copy_) computes.
    """
    schemas = torch._C._jit_get_schemas_for_operator(name) if "::" in name else []
    if name.startswith(ALLOCATORS) or any(_is_view(schema) for schema in schemas):
        return Kind.DISPATCHER
    overloads = [f"{schema.name}.{schema.overload_name}".rstrip(".") for schema in schemas]
    if any(_has_kernel(overload, "CPU") for overload in overloads):
        return Kind.OPERATOR
    if not has_children and any(_has_kernel(overload, "CompositeExplicitAutograd") for overload in overloads):
        return Kind.OPERATOR
    return Kind.DISPATCHER


def _is_view(schema: Any) -> bool:
    return any(value.alias_info is not None and not value.alias_info.is_write for value in schema.returns)


def _has_kernel(overload: str, key: str) -> bool:
    has_kernel_for: Callable[..., bool] = torch._C._dispatch_has_kernel_for_dispatch_key
    return torch._C._dispatch_has_kernel(overload) and has_kernel_for(overload, key)
