"""Times tiles at the first call of a shape, if LINBENCH_TUNE=1 is in the environment, and keeps the fastest.

Otherwise nothing is timed, and tiles follow from sizes alone (linear_attention_plan). Other tiles can have
other chunks, and so other last bits. A choice is kept for the life of the process and read back by `choices`;
a kernel that is launched shows it too, as its constants, num_warps and num_stages.
"""

import os
from collections.abc import Callable
from statistics import median
from typing import Literal, NamedTuple

import torch
import triton
from torch import Tensor

from linbench_kernels.triton.launch import Plan
from linbench_kernels.triton.linear_attention_plan import Tiles, candidates

SWITCH = "LINBENCH_TUNE"
ROUNDS = 5


class Shape(NamedTuple):
    """What a choice is for: the kernels by name, sizes, sequences, dtype and device."""

    kernels: str
    B: int
    T: int
    H: int
    K: int
    V: int
    sequences: int
    dtype: torch.dtype
    device: str


class Choice(NamedTuple):
    """The tiles chosen, and the seconds of a call (a median) with each that was tried."""

    tile: Tiles
    seconds: dict[Tiles, float]


_choices: dict[Shape, Choice] = {}


def choices() -> dict[Shape, Choice]:
    """Returns what has been chosen in this process."""
    return dict(_choices)


def tune(
    plan: Plan, kernels: str, which: Literal["keys", "values"], q: Tensor, run: Callable[[Plan], object]
) -> Plan:
    """Returns the plan with the fastest tiles in its field `which`, or as it is if tuning is off.

    Args:
        plan: of the call.
        kernels: the name of what is tuned.
        which: "keys", of the kernels whose programs own slices of K, or "values", of V.
        q: a tensor of the call.
        run: makes the call with a plan, and changes nothing that a second call would read.
    """
    if os.environ.get(SWITCH) != "1":
        return plan
    segments = plan.segments
    sizes = (plan.B, segments.T, segments.H, plan.K, plan.V, segments.sequences)
    shape = Shape(f"{kernels} {which}", *sizes, q.dtype, str(q.device))
    if shape not in _choices:
        if q.is_cuda and torch.cuda.is_current_stream_capturing():
            return plan  # a graph has no times
        default, columns = (plan.keys, plan.K) if which == "keys" else (plan.values, plan.V)
        tried = candidates(default, columns, q.element_size(), _shared_bytes(q))
        _choices[shape] = _fastest(tried, lambda tile: run(_with(plan, which, tile)))
    return _with(plan, which, _choices[shape].tile)


def _shared_bytes(x: Tensor) -> int:
    """Returns the most shared memory that a program may have on the device of x; for the CPU, a Hopper's."""
    if not x.is_cuda:
        return 227 * 1024
    return int(triton.runtime.driver.active.utils.get_device_properties(x.device.index)["max_shared_mem"])


def _with(plan: Plan, which: Literal["keys", "values"], tile: Tiles) -> Plan:
    return plan._replace(keys=tile) if which == "keys" else plan._replace(values=tile)


def _fastest(tried: tuple[Tiles, ...], run: Callable[[Tiles], object]) -> Choice:
    """Returns the tiles with the least median time, the first of equals.

    After one call each, which compiles, they take turns, so that what drifts meets all alike. Tiles that the
    device cannot hold are left out; the first are those of an untuned call, and must do.
    """
    samples: dict[Tiles, list[float]] = {}
    for tile in tried:
        try:
            run(tile)
        except triton.OutOfResources:
            if tile == tried[0]:
                raise
            continue
        samples[tile] = []
    for _ in range(ROUNDS):
        for tile, taken in samples.items():
            taken.append(seconds_of(lambda: run(tile)))  # noqa: B023 (called at once)
    seconds = {tile: median(taken) for tile, taken in samples.items()}
    return Choice(min(seconds, key=lambda tile: seconds[tile]), seconds)


def seconds_of(call: Callable[[], object]) -> float:
    """Returns the seconds from the start to the end of a call on the current CUDA stream."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) * 1e-3
