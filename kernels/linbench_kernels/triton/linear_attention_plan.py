"""How causal linear attention is laid out on a GPU: tile sizes and segments, as functions of sizes alone."""

from functools import cache
from typing import NamedTuple

import torch
import triton

CHUNK_MAX = 64  # every chunk divides it, so a multiple of it can be cut into chunks of any kernel


class Tiles(NamedTuple):
    """The tile sizes and launch settings of one kernel.

    Attributes:
        chunk: rows of a chunk; scores are [chunk, chunk].
        inner: columns of the operands whose product is the scores, padded to a power of two.
        outer: columns of the slice that one program writes; its state is inner * outer float32 in registers.
        num_warps: warps of a program.
        num_stages: depth of the pipeline of loads.
    """

    chunk: int
    inner: int
    outer: int
    num_warps: int
    num_stages: int


def tiles(inner: int, outer: int, dtype: torch.dtype, *, hopper: bool) -> Tiles:
    """Returns the tiles of a kernel with `inner` columns in its scores and `outer` in its output.

    They are those, of the few tried, that compile without spilled registers in bfloat16 for sizes 64 and 128.
    There float32 spills at most 4 and float16, which scales its operands too, at most 19; sizes that are not
    multiples of 16, and those above 128, spill more. Hopper's tensor cores take 64 rows at a time, so chunks
    and slices are 64 there, in at most 101 KiB of shared memory at size 128; they are 32 elsewhere, in at
    most 37 KiB. float32 has no tensor cores in IEEE precision, and holds whole rows of operands in registers:
    its chunks are 16.

    Args:
        inner: K, or V for the gradients of q and k.
        outer: V, or K for the gradients of q and k.
        dtype: of q, k and v.
        hopper: whether the device has compute capability 9.0 or more.
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
    """Returns tiles worth trying in place of `default`, which comes first and stays in.

    They differ from it in one field, by a factor of two, or a stage; they have chunks of 16 to 64 steps, and
    need by `most_shared_bytes` no more shared memory than there is.

    Args:
        default: what `tiles` gives.
        columns: of the output, which a slice need not exceed.
        itemsize: bytes of a number of q, k and v.
        shared_bytes: the most that a program may have.
    """
    padded = triton.next_power_of_2(columns)
    others = [
        *(default._replace(num_stages=n) for n in (default.num_stages + 1, default.num_stages - 1)),
        *(default._replace(num_warps=n) for n in (4, 8) if n != default.num_warps),
        *(default._replace(outer=n) for n in (default.outer * 2, default.outer // 2) if 16 <= n <= padded),
        *(default._replace(chunk=n) for n in (default.chunk * 2, default.chunk // 2) if 16 <= n <= CHUNK_MAX),
    ]
    return (default, *(tile for tile in others if most_shared_bytes(tile, itemsize) <= shared_bytes))


def most_shared_bytes(tile: Tiles, itemsize: int) -> int:
    """Returns a bound on a kernel's shared memory: rows of four tensors a stage, the state and the scores."""
    rows = tile.num_stages * tile.chunk * 2 * (tile.inner + tile.outer)
    return rows * itemsize + (tile.inner * tile.outer + tile.chunk**2) * 4


def segment_length(T: int, programs: int, processors: int) -> int:
    """Returns the steps of a segment: all of T where one pass gives each processor a program.

    Else segments are cut for four programs a processor, none shorter than 512 steps. Segments cost a second
    reading of two inputs, and their states: worth it only to fill the GPU. A multiple of every chunk.

    Args:
        T: steps of the sequence.
        programs: programs of one pass.
        processors: streaming multiprocessors of the device.
    """
    number = 1 if programs >= processors else triton.cdiv(4 * processors, programs)
    steps = triton.cdiv(T, number)
    if number > 1:
        steps = max(steps, 512)
    return int(triton.cdiv(min(steps, T), CHUNK_MAX) * CHUNK_MAX)
