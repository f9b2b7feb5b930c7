"""What launchers share: how tensors are handed to kernels, how sequences are cut, and the plan of a call."""

from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from linbench_kernels.triton.linear_attention_plan import Tiles


class Device(NamedTuple):
    """What tiles and segments depend on: multiprocessors, and whether its capability is 9.0 or more."""

    processors: int
    hopper: bool


def device_of(x: Tensor) -> Device:
    """Returns the device of x; for the CPU, where kernels are interpreted, a Hopper of one processor."""
    if not x.is_cuda:
        return Device(1, hopper=True)
    found = torch.cuda.get_device_properties(x.device)
    return Device(found.multi_processor_count, found.major >= 9)


def stand_in(*shape: int, dtype: torch.dtype) -> Tensor:
    """Returns a tensor of any shape and one number in memory, where kernels run: a plan needs no more."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.empty(1, dtype=dtype, device=device).expand(shape)


def as_rows(x: Tensor) -> Tensor:
    """Returns x with contiguous rows, and steps near enough for offsets within a tile to fit in 32 bits."""
    return x if x.stride(3) == 1 and x.stride(1) < 2**24 else x.contiguous()


def strides_of(x: Tensor) -> tuple[int, int, int]:
    """Returns the strides of batch, time and head, in elements."""
    return x.stride(0), x.stride(1), x.stride(2)


class Segments(NamedTuple):
    """How the sequences of a call are cut into segments, in the order of a kernel's arguments.

    Attributes:
        T: steps of a row of the batch.
        H: heads.
        cu_seqlens: [sequences + 1] int32, where each sequence packed in the one row begins and the last ends;
            None where each row of the batch is a sequence. Its values stay on the device.
        sequences: number of sequences.
        length: steps of a segment, a multiple of every chunk.
        number: segments of a row of the batch; of varlen sequences, the most that they can need.
    """

    T: int
    H: int
    cu_seqlens: Tensor | None
    sequences: int
    length: int
    number: int

    @property
    def whole(self) -> bool:
        """Whether each sequence is one segment, so that its state at the start is the one that was given."""
        return self.length >= self.T


def check_varlen(q: Tensor, cu_seqlens: Tensor | None) -> int:
    """Returns the number of sequences in q [B, T, H, K]; raises if cu_seqlens cannot say where they are."""
    if cu_seqlens is None:
        return q.shape[0]
    if cu_seqlens.ndim != 1 or cu_seqlens.shape[0] < 2 or cu_seqlens.dtype != torch.int32:
        given = f"{tuple(cu_seqlens.shape)} {cu_seqlens.dtype}"
        raise ValueError(f"cu_seqlens is {given}; allowed: [N + 1] for N >= 1 sequences, torch.int32.")
    if q.shape[0] != 1:
        raise ValueError(f"cu_seqlens needs sequences packed in one row, B = 1; q has B = {q.shape[0]}.")
    return cu_seqlens.shape[0] - 1


def cut(x: Tensor, length: int, cu_seqlens: Tensor | None) -> Segments:
    """Returns the segments of `length` steps of sequences [B, T, H, _]."""
    B, T, H, _ = x.shape
    if cu_seqlens is None:
        return Segments(T, H, None, B, length, most_segments(T, length, None))
    if length == T:
        length *= 2  # so that N sequences have N segments
    sequences, number = cu_seqlens.shape[0] - 1, most_segments(T, length, cu_seqlens)
    return Segments(T, H, cu_seqlens.contiguous(), sequences, length, number)


def most_segments(T: int, length: int, cu_seqlens: Tensor | None) -> int:
    """Returns how many segments the sequences in T steps need, whatever the values of cu_seqlens."""
    return int(triton.cdiv(T, length) if cu_seqlens is None else T // length + cu_seqlens.shape[0] - 1)


Over = tuple[dict[str, Any], int]  # constants of a kernel, and the number of slices that its programs own


class Plan(NamedTuple):
    """What the launches of one call share.

    Attributes:
        B: rows of the batch.
        K: columns of q and k.
        V: columns of v.
        segments: how the sequences are cut.
        keys: tiles of the kernels whose programs own slices of K.
        values: tiles of those whose programs own slices of V.
        dtype: of q, k and v.
    """

    B: int
    K: int
    V: int
    segments: Segments
    keys: Tiles
    values: Tiles
    dtype: torch.dtype

    def grid(self, slices: int) -> tuple[int]:
        """Returns the programs of a pass over all segments."""
        return (self.B * self.segments.H * self.segments.number * slices,)

    def over_keys(self) -> Over:
        """Returns the constants of a kernel whose programs own slices of K, and the number of slices."""
        tile = self.keys
        return self._constants(tile, tile.outer, tile.inner), triton.cdiv(self.K, tile.outer)

    def over_values(self) -> Over:
        """Returns the constants of a kernel whose programs own slices of V, and the number of slices."""
        tile = self.values
        return self._constants(tile, tile.inner, tile.outer), triton.cdiv(self.V, tile.outer)

    def flops(self, over: Over, *, keys: int = 1, values: int = 1, states: int = 2) -> int:
        """Returns the operations of every tl.dot of a pass, those on masked and padded elements too.

        In a chunk of C steps with tiles of k and v columns: 2 C (C (keys k + values v) + states k v).

        Args:
            over: `over_keys()` or `over_values()`.
            keys: products of [C, C] and k columns; the scores are made by one product and are in another.
            values: products of [C, C] and v columns.
            states: products that a state is in, or gains.
        """
        constants, slices = over
        C, k, v = (constants[name] for name in ("CHUNK", "BLOCK_K", "BLOCK_V"))
        chunks = self.B * self.segments.H * slices * triton.cdiv(self.segments.T, C)
        return int(chunks * 2 * C * (C * (keys * k + values * v) + states * k * v))

    def _constants(self, tile: Tiles, block_k: int, block_v: int) -> dict[str, Any]:
        precision = "ieee" if self.dtype == torch.float32 else "tf32"  # ignored by the half dtypes
        return {
            "K": self.K, "V": self.V, "CHUNK": tile.chunk, "BLOCK_K": block_k, "BLOCK_V": block_v,
            "PRECISION": precision, "num_warps": tile.num_warps, "num_stages": tile.num_stages,
        }  # fmt: skip
