"""Allocations: every block that torch takes and gives back in one call, and what it turns out to be for."""

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
from linbench.profiling.plain import wait, warm
from linbench.profiling.ranges import in_ranges, ranges
from linbench.profiling.timeline import Step, Timeline, timeline
from linbench.profiling.torch_profiler import ALLOCATORS

MARK = "linbench "


def allocations(call: Call) -> Timeline:
    """Return what one call allocated, by torch's profiler; what does not come from torch is not seen."""
    warm(call)
    activities = [ProfilerActivity.CPU]
    if call.case.device == "cuda":
        activities.append(ProfilerActivity.CUDA)
    around = ranges(call)
    gc.collect()
    call.prepare()
    with profile(activities=activities, profile_memory=True) as profiled:
        with saved_tensors_hooks(_mark_saved, _as_it_is):
            returned = in_ranges(call, around)
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


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor


def _mark(tensor: Tensor, kind: str) -> None:
    """Leave in the trace what the block of a tensor is for, in order with its allocation and release."""
    with _RecordFunctionFast(f"{MARK}{kind} {tensor.untyped_storage().data_ptr()}"):
        pass


def _steps(events: Iterable[Any], operator: str, device: str) -> Iterator[Step]:
    """Yield the steps of a tree of events; an allocation is the innermost operator's that does more."""
    for event in events:
        name = event.name
        if event.tag == _EventType.Allocation:
            extra = event.extra_fields
            if extra.device.type == device:
                yield Step(event.start_time_ns, extra.ptr, extra.alloc_size, operator)
        elif name.startswith(MARK):
            kind, address = name.removeprefix(MARK).split()
            yield Step(event.start_time_ns, int(address), 0, kind=kind)
        takes = "::" in name and not name.startswith(ALLOCATORS)
        yield from _steps(event.children, name if takes else operator, device)
