"""Common parts of the launchers: tensor arguments, segments of sequences, and the plan of a call."""

from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from linbench_kernels.triton.linear_attention_plan import Tiles


class Device(NamedTuple):
    """Number of multiprocessors, and whether the compute capability is 9.0 or more."""

    processors: int
    hopper: bool


def device_of(x: Tensor) -> Device:
    """Returns the device of x; for the CPU, where kernels are interpreted, a Hopper with one processor."""
    if not x.is_cuda:
        return Device(1, hopper=True)
    properties = torch.cuda.get_device_properties(x.device)
    return Device(properties.multi_processor_count, properties.major >= 9)


def placeholder(*shape: int, dtype: torch.dtype) -> Tensor:
    """Returns a tensor of any shape with one element in memory, sufficient to make a plan."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.empty(1, dtype=dtype, device=device).expand(shape)


def as_rows(x: Tensor) -> Tensor:
    """Returns x with contiguous rows and strides small enough for 32-bit offsets within a tile."""
    return x if x.stride(3) == 1 and x.stride(1) < 2**24 else x.contiguous()


def strides_of(x: Tensor) -> tuple[int, int, int]:
    """Returns the strides of batch, time and head, in elements."""
    return x.stride(0), x.stride(1), x.stride(2)


class Segments(NamedTuple):
    """The segments of the sequences of a call, in the order of a kernel's arguments.

    Attributes:
        T: Steps per row of the batch.
        H: Number of heads.
        cu_seqlens: [sequences + 1] int32, the start of each varlen sequence in the one row and the end of the
            last; None if each row of the batch is a sequence. Its values stay on the device.
        sequences: Number of sequences.
        length: Steps per segment, a multiple of every chunk.
        number: Segments per row of the batch; for varlen sequences, an upper bound.
    """

    T: int
    H: int
    cu_seqlens: Tensor | None
    sequences: int
    length: int
    number: int

    @property
    def one_per_sequence(self) -> bool:
        """Whether each sequence is a single segment, so that the initial states are those of the call."""
        return self.length >= self.T


def check_varlen(q: Tensor, cu_seqlens: Tensor | None) -> int:
    """Returns the number of sequences in q [B, T, H, K]; raises if cu_seqlens is invalid."""
    if cu_seqlens is None:
        return q.shape[0]
    if cu_seqlens.ndim != 1 or cu_seqlens.shape[0] < 2 or cu_seqlens.dtype != torch.int32:
        actual = f"{tuple(cu_seqlens.shape)} {cu_seqlens.dtype}"
        raise ValueError(f"cu_seqlens is {actual}; allowed: [N + 1] for N >= 1 sequences, torch.int32.")
    if q.shape[0] != 1:
        raise ValueError(f"cu_seqlens needs all sequences in one row, B = 1; q has B = {q.shape[0]}.")
    return cu_seqlens.shape[0] - 1


def split_into_segments(x: Tensor, length: int, cu_seqlens: Tensor | None) -> Segments:
    """Returns the segments of `length` steps for sequences in x [B, T, H, _]."""
    B, T, H, _ = x.shape
    if cu_seqlens is None:
        return Segments(T, H, None, B, length, max_segments(T, length, None))
    if length == T:
        length *= 2  # so that N sequences have N segments
    sequences, number = cu_seqlens.shape[0] - 1, max_segments(T, length, cu_seqlens)
    return Segments(T, H, cu_seqlens.contiguous(), sequences, length, number)


def max_segments(T: int, length: int, cu_seqlens: Tensor | None) -> int:
    """Returns an upper bound on the number of segments in T steps, for any values of cu_seqlens."""
    return int(triton.cdiv(T, length) if cu_seqlens is None else T // length + cu_seqlens.shape[0] - 1)


Slicing = tuple[dict[str, Any], int]  # constants of a kernel, and the number of slices of its output


class Plan(NamedTuple):
    """Common parameters of the launches of one call.

    Attributes:
        B: Rows of the batch.
        K: Columns of q and k.
        V: Columns of v.
        segments: Segments of the sequences.
        keys: Tiles of the kernels whose programs own slices of K.
        values: Tiles of the kernels whose programs own slices of V.
        dtype: Dtype of q, k and v.
    """

    B: int
    K: int
    V: int
    segments: Segments
    keys: Tiles
    values: Tiles
    dtype: torch.dtype

    def grid(self, slices: int) -> tuple[int]:
        """Returns the number of programs of a pass over all segments."""
        return (self.B * self.segments.H * self.segments.number * slices,)

    def key_slicing(self) -> Slicing:
        """Returns the constants of a kernel whose programs own slices of K, and the number of slices."""
        tile = self.keys
        return self._constants(tile, tile.outer, tile.inner), triton.cdiv(self.K, tile.outer)

    def value_slicing(self) -> Slicing:
        """Returns the constants of a kernel whose programs own slices of V, and the number of slices."""
        tile = self.values
        return self._constants(tile, tile.inner, tile.outer), triton.cdiv(self.V, tile.outer)

    def flops(self, slicing: Slicing, *, keys: int = 1, values: int = 1, states: int = 2) -> int:
        """Returns the operations of every tl.dot of a pass, masked and padded elements included.

        In a chunk of C steps with tiles of k and v columns: 2 C (C (keys k + values v) + states k v).

        Args:
            slicing: Result of `key_slicing()` or `value_slicing()`.
            keys: Number of products of [C, C] and k columns; one product computes the scores, another reads
                them.
            values: Number of products of [C, C] and v columns.
            states: Number of products that read or update a state.
        """
        constants, slices = slicing
        C, k, v = (constants[name] for name in ("CHUNK", "BLOCK_K", "BLOCK_V"))
        chunks = self.B * self.segments.H * slices * triton.cdiv(self.segments.T, C)
        return int(chunks * 2 * C * (C * (keys * k + values * v) + states * k * v))

    def _constants(self, tile: Tiles, block_k: int, block_v: int) -> dict[str, Any]:
        precision = "ieee" if self.dtype == torch.float32 else "tf32"  # ignored by the half dtypes
        return {
            "K": self.K, "V": self.V, "CHUNK": tile.chunk, "BLOCK_K": block_k, "BLOCK_V": block_v,
            "PRECISION": precision, "num_warps": tile.num_warps, "num_stages": tile.num_stages,
        }  # fmt: skip
