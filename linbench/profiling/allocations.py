"""Allocations: every block that torch allocates and frees in one call, and the purpose of each block."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch._C._profiler import _EventType, _RecordFunctionFast
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile

from linbench.measure.call import Call
from linbench.profiling.plain import wait, warm_up
from linbench.profiling.ranges import in_ranges, ranges
from linbench.profiling.timeline import Step, Timeline, timeline
from linbench.profiling.torch_profiler import ALLOCATORS

MARK = "linbench "


def allocations(call: Call) -> Timeline:
    """Return what one call allocated, from torch's profiler; memory from outside torch is not included."""
    warm_up(call)
    activities = [ProfilerActivity.CPU]
    if call.case.device == "cuda":
        activities.append(ProfilerActivity.CUDA)
    phase_ranges = ranges(call)
    gc.collect()
    call.prepare()
    with profile(activities=activities, profile_memory=True) as profiled:
        with saved_tensors_hooks(_mark_saved, _identity):
            returned = in_ranges(call, phase_ranges)
        wait(call)
        states = {spec.name for spec in call.operator.state}
        for name, tensor in call.results(returned).items():
            _mark(tensor, "state" if name in states else "outputs")
    results = profiled.profiler.kineto_results if profiled.profiler else None
    tree = results.experimental_event_tree() if results else ()
    device = torch.device(call.case.device).type
    return timeline(list(_steps(tree, "", device)))


def _mark_saved(tensor: Tensor) -> Tensor:
    _mark(tensor, "saved")
    return tensor


def _identity(tensor: Tensor) -> Tensor:
    return tensor


def _mark(tensor: Tensor, kind: str) -> None:
    """Record the kind of a tensor's block in the trace, between its allocation and its release."""
    with _RecordFunctionFast(f"{MARK}{kind} {tensor.untyped_storage().data_ptr()}"):
        pass


def _steps(events: Iterable[Any], operator: str, device: str) -> Iterator[Step]:
    """Yield the steps of a tree of events.

    An allocation belongs to the innermost operator that does more than allocate.
    """
    for event in events:
        name = event.name
        if event.tag == _EventType.Allocation:
            extra = event.extra_fields
            if extra.device.type == device:
                yield Step(event.start_time_ns, extra.ptr, extra.alloc_size, operator)
        elif name.startswith(MARK):
            kind, address = name.removeprefix(MARK).split()
            yield Step(event.start_time_ns, int(address), 0, kind=kind)
        is_owner = "::" in name and not name.startswith(ALLOCATORS)
        yield from _steps(event.children, name if is_owner else operator, device)
