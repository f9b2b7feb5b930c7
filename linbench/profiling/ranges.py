"""Ranges: one around each phase of a call, so that a profiler can assign events to phases."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import cast

import torch
from torch._C._profiler import _RecordFunctionFast as Range

from linbench.measure.call import Call
from linbench.profiling.phase import phases

Ranges = Sequence[AbstractContextManager[object]]
"""One range per phase, in order; each may be entered once per call."""


def ranges(call: Call) -> Ranges:
    """Return a range of torch's profiler for each phase and, on CUDA, an NVTX range too, which Nsight reads.

    torch's own `record_function` takes several times as long to enter and exit.
    """
    names = phases(call.implementation.name, call.case.mode)
    if call.case.device == "cuda":
        return [_WithNvtx(name) for name in names]
    return [cast(AbstractContextManager[object], Range(name)) for name in names]


def in_ranges(call: Call, ranges: Ranges) -> object:
    """Make a call as `Call` does, each phase in its range, and return its result."""
    if len(ranges) == 1:
        with ranges[0], torch.no_grad():
            return call.forward()
    forward, backward = ranges
    with forward:
        output = call.forward()
    with backward:
        return output, call.backward(output)


class _WithNvtx:
    """A range of torch's profiler inside an NVTX range.

    An NVTX start/end range belongs to the process, a push/pop range to a thread; autograd launches backward
    kernels from its own thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._range = Range(name)

    def __enter__(self) -> None:
        self._number = torch.cuda.nvtx.range_start(self._name)
        self._range.__enter__()

    def __exit__(self, *error: object) -> None:
        self._range.__exit__(*error)
        torch.cuda.nvtx.range_end(self._number)
