"""Ranges: around each phase of a call, so that a profiler can tell what belongs to which."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import cast

import torch
from torch._C._profiler import _RecordFunctionFast as Range

from linbench.measure.call import Call
from linbench.profiling.phase import phases

Ranges = Sequence[AbstractContextManager[object]]
"""One for each phase, in order; they may be entered as often as there are calls."""


def ranges(call: Call) -> Ranges:
    """Return a range of torch's profiler for each phase and, on CUDA, of NVTX too, which Nsight reads.

    torch's own `record_function` takes several times as long to enter and to leave.
    """
    names = phases(call.implementation.name, call.case.mode)
    if call.case.device == "cuda":
        return [_WithNvtx(name) for name in names]
    return [cast(AbstractContextManager[object], Range(name)) for name in names]


def in_ranges(call: Call, around: Ranges) -> object:
    """Make a call as `Call` does, each phase in its range, and return what it returns."""
    if len(around) == 1:
        with around[0], torch.no_grad():
            return call.forward()
    first, second = around
    with first:
        output = call.forward()
    with second:
        return output, call.backward(output)


class _WithNvtx:
    """A range of torch's profiler in one of NVTX.

    One that starts and ends belongs to the process; one that is pushed, to a thread, and autograd launches
    the kernels of a backward from a thread of its own.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._range = Range(name)

    def __enter__(self) -> None:
        self._number = torch.cuda.nvtx.range_start(self._name)
        self._range.__enter__()

    def __exit__(self, *raised: object) -> None:
        self._range.__exit__(*raised)
        torch.cuda.nvtx.range_end(self._number)
