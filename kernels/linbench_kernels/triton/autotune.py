"""Chooses the fastest tiles by timing at the first call of a shape, if LINBENCH_TUNE=1 is set.

Otherwise nothing is timed, and the tiles depend only on sizes (linear_attention_plan). Tiles can differ in
their chunks, and so in the last bits of results. A choice lasts as long as the process; `choices` returns it,
and the constants, num_warps and num_stages of a launched kernel show it too.
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
    """Key of a choice: the name of the kernels, sizes, sequences, dtype and device."""

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
    """The chosen tiles, and the median duration of a call in seconds for each candidate."""

    tile: Tiles
    seconds: dict[Tiles, float]


_choices: dict[Shape, Choice] = {}


def choices() -> dict[Shape, Choice]:
    """Returns the choices of this process."""
    return dict(_choices)


def tune(
    plan: Plan, kernels: str, which: Literal["keys", "values"], q: Tensor, run: Callable[[Plan], object]
) -> Plan:
    """Returns the plan with the fastest tiles in its field `which`, or unchanged if tuning is off.

    Args:
        plan: Plan of the call.
        kernels: Name of the tuned kernels.
        which: "keys" for the kernels whose programs own slices of K, "values" for those of V.
        q: A tensor of the call.
        run: Makes the call with a plan; it must be repeatable.
    """
    if os.environ.get(SWITCH) != "1":
        return plan
    segments = plan.segments
    sizes = (plan.B, segments.T, segments.H, plan.K, plan.V, segments.sequences)
    shape = Shape(f"{kernels} {which}", *sizes, q.dtype, str(q.device))
    if shape not in _choices:
        if q.is_cuda and torch.cuda.is_current_stream_capturing():
            return plan  # nothing can be timed during capture
        default, columns = (plan.keys, plan.K) if which == "keys" else (plan.values, plan.V)
        tiles = candidates(default, columns, q.element_size(), _shared_bytes(q))
        _choices[shape] = _find_fastest(tiles, lambda tile: run(_replace_tiles(plan, which, tile)))
    return _replace_tiles(plan, which, _choices[shape].tile)


def _shared_bytes(x: Tensor) -> int:
    """Returns the maximum shared memory of a program on the device of x; for the CPU, that of a Hopper."""
    if not x.is_cuda:
        return 227 * 1024
    return int(triton.runtime.driver.active.utils.get_device_properties(x.device.index)["max_shared_mem"])


def _replace_tiles(plan: Plan, which: Literal["keys", "values"], tile: Tiles) -> Plan:
    return plan._replace(keys=tile) if which == "keys" else plan._replace(values=tile)


def _find_fastest(tiles: tuple[Tiles, ...], run: Callable[[Tiles], object]) -> Choice:
    """Returns the tiles with the lowest median time; the first on a tie.

    After one call each to compile, the candidates take turns, so that drift affects all equally. Tiles that
    exceed the resources of the device are skipped; the first are those of an untuned call, and must fit.
    """
    samples: dict[Tiles, list[float]] = {}
    for tile in tiles:
        try:
            run(tile)
        except triton.OutOfResources:
            if tile == tiles[0]:
                raise
            continue
        samples[tile] = []
    for _ in range(ROUNDS):
        for tile, durations in samples.items():
            durations.append(seconds_of(lambda: run(tile)))  # noqa: B023 (called immediately)
    seconds = {tile: median(durations) for tile, durations in samples.items()}
    return Choice(min(seconds, key=lambda tile: seconds[tile]), seconds)


def seconds_of(call: Callable[[], object]) -> float:
    """Returns the duration of a call on the current CUDA stream in seconds."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) * 1e-3
