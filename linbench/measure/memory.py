"""Memory: the peak memory of one call and its breakdown."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from linbench.core.measurement import Memory
from linbench.measure.call import Call
from linbench.measure.heap import return_freed

LONG_CALL_S = 2.0

Storages = dict[int, int]
"""Bytes by address."""


@dataclass
class Parts:
    """The storages that a call allocated, by purpose.

    Attributes:
        inputs: Addresses of the inputs.
        outputs: Storages of the results.
        saved: Storages that forward saved for backward, other than inputs.
    """

    inputs: set[int]
    outputs: Storages = field(default_factory=dict)
    saved: Storages = field(default_factory=dict)

    def run(self, call: Callable[[], object]) -> None:
        """Make the call, record what it saved and returned, and release both."""
        with saved_tensors_hooks(self._record_saved, lambda tensor: tensor):
            returned = call()
        self._record_outputs(returned)

    def _record_saved(self, tensor: Tensor) -> Tensor:
        self._add(self.saved, tensor)
        return tensor

    def _record_outputs(self, returned: object) -> None:
        if isinstance(returned, tuple | list):
            for part in returned:
                self._record_outputs(part)
        elif isinstance(returned, Tensor):
            self._add(self.outputs, returned)

    def _add(self, storages: Storages, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.inputs:
            storages[storage.data_ptr()] = storage.nbytes()

    def memory(
        self, extra: int, input_bytes: int, state_bytes: int, meter: str, reserved: int | None
    ) -> Memory:
        """Return the breakdown of a peak; workspace is the rest besides outputs and saved tensors."""
        output = sum(self.outputs.values())
        saved = sum(size for address, size in self.saved.items() if address not in self.outputs)
        return Memory(
            peak_bytes=input_bytes + extra,
            extra_bytes=extra,
            meter=meter,
            output_bytes=output,
            saved_bytes=saved,
            workspace_bytes=max(0, extra - output - saved),
            state_bytes=state_bytes,
            reserved_bytes=reserved,
        )


def measure_memory(call: Call) -> tuple[Memory, int]:
    """Return the peak memory of one call, and the bytes still allocated after its result is released.

    On CUDA torch's allocator records the peak. On the CPU torch's profiler records every allocation and
    release, which are summed in order; this is exact but takes about 2 kB per event, so a call longer than
    `LONG_CALL_S` needs `measure_resident_memory` instead. Allocations outside torch are not included.
    """
    parts = _parts(call)
    reserved = None
    if call.case.device == "cuda":
        extra, left, reserved = _cuda_extra(call, parts)
    else:
        extra, left = _recorded_extra(call, parts)
    operator, case = call.operator, call.case
    return parts.memory(extra, operator.input_bytes(case), _state_bytes(call), "allocator", reserved), left


def measure_resident_memory(call: Call) -> Memory:
    """Return the peak memory of one call from the resident set size of this process, accurate to about 1 MB.

    Only for the first call of a fresh process: memory that an earlier call left to the C library's allocator
    is reused without being counted. All memory of the call counts, from torch or elsewhere.
    """
    parts = _parts(call)
    return_freed()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status_bytes("VmRSS")
    parts.run(call)
    extra = max(0, _status_bytes("VmHWM") - before)
    return parts.memory(extra, call.operator.input_bytes(call.case), _state_bytes(call), "rss", None)


def _parts(call: Call) -> Parts:
    gc.collect()
    call.prepare()
    return Parts({tensor.untyped_storage().data_ptr() for tensor in call.tensors})


def _state_bytes(call: Call) -> int:
    operator, case = call.operator, call.case
    carries = operator.takes_state(case) or bool(operator.returned_state(case))
    return operator.state_bytes(case) if carries else 0


def _cuda_extra(call: Call, parts: Parts) -> tuple[int, int, int]:
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    parts.run(call)
    torch.cuda.synchronize()
    extra = torch.cuda.max_memory_allocated() - before
    reserved = torch.cuda.max_memory_reserved() - torch.cuda.max_memory_allocated()
    return extra, torch.cuda.memory_allocated() - before, reserved


def _recorded_extra(call: Call, parts: Parts) -> tuple[int, int]:
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        parts.run(call)
    results = profile.profiler.kineto_results if profile.profiler else None
    alive = peak = 0
    for event in results.events() if results else ():
        if event.name() == "[memory]":
            alive += event.nbytes()
            peak = max(peak, alive)
    return peak, alive


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}")
