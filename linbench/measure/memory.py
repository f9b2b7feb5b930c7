"""Memory: the most that one call held at once, and what it was for."""

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
    """The storages that a call made, by what they are for.

    Attributes:
        given: Addresses that the call was given.
        outputs: What it returned.
        saved: What forward kept for backward, beside both.
    """

    given: set[int]
    outputs: Storages = field(default_factory=dict)
    saved: Storages = field(default_factory=dict)

    def run(self, call: Callable[[], object]) -> None:
        """Make the call, note what it kept and returned, and let go of it."""
        with saved_tensors_hooks(self._keep, lambda tensor: tensor):
            returned = call()
        self._note(returned)

    def _keep(self, tensor: Tensor) -> Tensor:
        self._add(self.saved, tensor)
        return tensor

    def _note(self, returned: object) -> None:
        if isinstance(returned, tuple | list):
            for part in returned:
                self._note(part)
        elif isinstance(returned, Tensor):
            self._add(self.outputs, returned)

    def _add(self, to: Storages, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.given:
            to[storage.data_ptr()] = storage.nbytes()

    def memory(
        self, extra: int, input_bytes: int, state_bytes: int, meter: str, reserved: int | None
    ) -> Memory:
        """Return the parts of a peak; workspace is what neither outputs nor saved tensors account for."""
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
    """Return the peak memory of one call, and the bytes that it left allocated when its result was dropped.

    On CUDA torch's allocator keeps the peak. On the CPU every allocation and release of torch is recorded by
    its profiler and summed in order, which is exact but keeps about 2 kB an event: a call longer than
    `LONG_CALL_S` is for `measure_resident_memory` instead. It does not see what an implementation allocates
    elsewhere than in torch.
    """
    parts = _parts(call)
    reserved = None
    if call.case.device == "cuda":
        extra, kept, reserved = _cuda_extra(call, parts)
    else:
        extra, kept = _recorded_extra(call, parts)
    operator, case = call.operator, call.case
    return parts.memory(extra, operator.input_bytes(case), _state_bytes(call), "allocator", reserved), kept


def measure_resident_memory(call: Call) -> Memory:
    """Return the peak memory of one call by the resident set of this process, right to about 1 MB.

    For the first call of a fresh process: what an earlier one left to the C library's allocator is used
    again, unseen. Everything that the call takes is seen, from torch or elsewhere.
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
    return Parts({tensor.untyped_storage().data_ptr() for tensor in call.held})


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
