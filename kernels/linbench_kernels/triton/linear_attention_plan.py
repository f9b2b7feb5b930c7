"""Tile sizes and segments of causal linear attention on a GPU, as functions of sizes only."""

from functools import cache
from typing import NamedTuple

import torch
import triton

CHUNK_MAX = 64  # a multiple of every chunk, so its multiples can be divided into chunks of any kernel


class Tiles(NamedTuple):
    """The tile sizes and launch settings of one kernel.

    Attributes:
        chunk: Rows per chunk; scores are [chunk, chunk].
        inner: Columns of the operands of the scores, padded to a power of two.
        outer: Columns of the slice that one program writes; its state is inner * outer float32 in registers.
        num_warps: Warps per program.
        num_stages: Depth of the load pipeline.
    """

    chunk: int
    inner: int
    outer: int
    num_warps: int
    num_stages: int


def tiles(inner: int, outer: int, dtype: torch.dtype, *, hopper: bool) -> Tiles:
    """Returns the tiles of a kernel with `inner` columns in its scores and `outer` in its output.

    Of the few tiles tried, these compile without register spills in bfloat16 for sizes 64 and 128. At these
    sizes float32 spills at most 4 registers, and float16, which also scales its operands, at most 19; sizes
    that are not multiples of 16 or are above 128 spill more. Hopper's tensor cores process 64 rows at a time,
    so chunks and slices are 64 there, with at most 101 KiB of shared memory at size 128; on other devices
    they are 32, with at most 37 KiB. float32 has no tensor cores in IEEE precision and holds whole rows of
    operands in registers: its chunks are 16.

    Args:
        inner: K, or V for the gradients of q and k.
        outer: V, or K for the gradients of q and k.
        dtype: Dtype of q, k and v.
        hopper: Whether the device has compute capability 9.0 or more.
    """
    padded = triton.next_power_of_2(inner)
    if dtype == torch.float32:
        chunk, widest, num_warps = 16, 32 if padded <= 64 else 16, 8
    elif hopper and padded <= 128:
        chunk, widest, num_warps = 64, 64, 4 if padded <= 64 else 8
    else:
        chunk, widest, num_warps = 32, 32, 4 if padded <= 64 else 8
    return Tiles(chunk, padded, min(triton.next_power_of_2(outer), widest), num_warps, 2)


@cache
def candidates(default: Tiles, columns: int, itemsize: int, shared_bytes: int) -> tuple[Tiles, ...]:
    """Returns candidate tiles for tuning; `default` is always the first.

    The others differ from it in one field, by a factor of two or by one stage; their chunks have 16 to 64
    steps, and their shared memory by `max_shared_bytes` is within the limit.

    Args:
        default: The result of `tiles`.
        columns: Columns of the output, an upper bound on the width of a slice.
        itemsize: Bytes per element of q, k and v.
        shared_bytes: Maximum shared memory of a program.
    """
    padded = triton.next_power_of_2(columns)
    neighbours = [
        *(default._replace(num_stages=n) for n in (default.num_stages + 1, default.num_stages - 1)),
        *(default._replace(num_warps=n) for n in (4, 8) if n != default.num_warps),
        *(default._replace(outer=n) for n in (default.outer * 2, default.outer // 2) if 16 <= n <= padded),
        *(default._replace(chunk=n) for n in (default.chunk * 2, default.chunk // 2) if 16 <= n <= CHUNK_MAX),
    ]
    return (default, *(tile for tile in neighbours if max_shared_bytes(tile, itemsize) <= shared_bytes))


def max_shared_bytes(tile: Tiles, itemsize: int) -> int:
    """Returns an upper bound on the shared memory of a kernel: four tensors per stage, state and scores."""
    rows = tile.num_stages * tile.chunk * 2 * (tile.inner + tile.outer)
    return rows * itemsize + (tile.inner * tile.outer + tile.chunk**2) * 4


def segment_length(T: int, programs: int, processors: int) -> int:
    """Returns the steps per segment: all of T if one pass has a program per processor.

    Otherwise T is split for four programs per processor, with at least 512 steps per segment, rounded up to a
    multiple of every chunk. Segments read two inputs twice and store their states, which is worth it only to
    fill the GPU.

    Args:
        T: Steps of the sequence.
        programs: Programs of one pass.
        processors: Streaming multiprocessors of the device.
    """
    number = 1 if programs >= processors else triton.cdiv(4 * processors, programs)
    steps = triton.cdiv(T, number)
    if number > 1:
        steps = max(steps, 512)
    return int(triton.cdiv(min(steps, T), CHUNK_MAX) * CHUNK_MAX)
