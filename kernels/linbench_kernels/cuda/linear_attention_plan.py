"""The compiled variants of linear attention, and how their work is divided into blocks."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from linbench_kernels.cuda.launch import Program

FORWARD_SOURCE = Path(__file__).with_name("linear_attention.cu")
BACKWARD_SOURCE = Path(__file__).with_name("linear_attention_backward.cu")
FEATURE_MAPS = ("elu1", "relu", "identity")
HEAD_DIMS = range(16, 129, 16)
MIN_SEGMENT = 512  # tokens; in shorter segments the traffic of the state costs more than parallelism gains

SCAN_THREADS = 256  # one thread per element of a state
DELTA_THREADS = 256  # one warp per row

_DTYPES = {torch.float32: "FLOAT32", torch.float16: "FLOAT16", torch.bfloat16: "BFLOAT16"}


@dataclass(frozen=True)
class Tiles:
    """The sizes of a kernel with a state [inner, outer], split along outer into one slice per block."""

    inner: int
    outer: int
    dtype: torch.dtype

    @property
    def chunk(self) -> int:
        """Tokens per chunk: float32 has twice the bytes per element, so half the tokens."""
        return 32 if self.dtype == torch.float32 else 64

    @property
    def slices(self) -> int:
        """Number of slices: at most 64 columns each if `outer` can be divided into multiples of 16."""
        return 1 if self.outer <= 64 or self.outer % 32 else 2

    @property
    def slice(self) -> int:
        """Columns per slice."""
        return self.outer // self.slices

    @property
    def threads(self) -> int:
        """Threads per block: one warp per 16 columns; always four warps for float32."""
        return 128 if self.dtype == torch.float32 else self.slice // 16 * 32

    def flops(self, T: int, *, outputs: bool = True, key_sums: bool = False) -> int:
        """Returns the operations of the products of a pass over T tokens of a head, padding included.

        With I = inner, a slice of W columns has 2 C I W operations for its state per chunk of C tokens. With
        outputs it has as many again, and 2 A (I + W) for A scores. float32 computes all C^2 scores; tensor
        cores compute only the tiles of 16 x 16 that reach the diagonal, C (C + 16) / 2 scores.

        Args:
            T: Number of tokens.
            outputs: Whether the pass computes outputs; otherwise it only sums states.
            key_sums: Whether the pass sums keys; tensor cores sum them as 16 more columns of a state.
        """
        C, inner, width, full = self.chunk, self.inner, self.slice, self.dtype == torch.float32
        multiply_adds = C * inner * width  # per chunk
        if outputs:
            multiply_adds += C * inner * width + (C * C if full else C * (C + 16) // 2) * (inner + width)
        if key_sums and not full:
            multiply_adds += C * inner * 16
        return 2 * -(-T // C) * self.slices * multiply_adds

    @property
    def shared_bytes(self) -> int:
        """Dynamic shared memory per block: sizeof(Shared) in the kernel, which checks it."""
        itemsize, pad = self.dtype.itemsize, 16 // self.dtype.itemsize
        stage = self.chunk * ((2 * (self.inner + pad) + self.slice + pad) * itemsize + 2 * 4)
        scores = self.chunk * (self.chunk + pad) * itemsize
        state = 4 * self.inner * self.slice if self.dtype == torch.float32 else 0
        return 2 * stage + scores + 4 * (max(self.inner, self.slice) + 8) + state


@dataclass(frozen=True)
class Variant:
    """The compiled programs for a kind of inputs: their constants, and the sizes derived from them."""

    K: int
    V: int
    dtype: torch.dtype
    feature_map: str
    normalize: bool

    @property
    def untransposed(self) -> Tiles:
        """Tiles of the kernels with the state [K, V], as in memory: o, dv."""
        return Tiles(self.K, self.V, self.dtype)

    @property
    def transposed(self) -> Tiles:
        """Tiles of the kernels with the state [V, K]: dq, dk."""
        return Tiles(self.V, self.K, self.dtype)

    @property
    def decode_threads(self) -> int:
        """Threads per block of decode, which processes a whole head."""
        return 256 if self.V > 64 else 128

    @property
    def blocks(self) -> dict[str, tuple[int, int]]:
        """Threads and dynamic shared memory per block, of every kernel."""
        untransposed = (self.untransposed.threads, self.untransposed.shared_bytes)
        transposed = (self.transposed.threads, self.transposed.shared_bytes)
        return {
            "forward": untransposed,
            "segment_states": untransposed,
            "scan": (SCAN_THREADS, 0),
            "decode": (self.decode_threads, 0),
            "deltas": (DELTA_THREADS, 0),
            "query_gradient": transposed,
            "segment_adjoints": transposed,
            "scan_adjoints": (SCAN_THREADS, 0),
            "key_gradient": transposed,
            "value_gradient": untransposed,
        }

    def flops(self, B: int, T: int, H: int, multiprocessors: int, *, gradient: bool) -> int:
        """Returns the operations of the products of a forward pass and, if requested, of the gradients."""
        untransposed, transposed = self.untransposed, self.transposed
        flops = untransposed.flops(T, key_sums=True)
        if gradient:
            flops += 2 * transposed.flops(T) + untransposed.flops(T)
        blocks, sums = B * H * untransposed.slices, untransposed.flops(T, outputs=False, key_sums=True)
        if segment_length(blocks, T, multiprocessors, untransposed.chunk) < T:
            flops += sums
        blocks = B * H * min(untransposed.slices, transposed.slices)
        if gradient and segment_length(blocks, T, multiprocessors, untransposed.chunk) < T:
            flops += sums + transposed.flops(T, outputs=False)
        return B * H * flops

    @cached_property
    def forward(self) -> Program:
        """The program of forward, prefill and decode."""
        return Program(FORWARD_SOURCE, tuple(self._macros.items()))

    @cached_property
    def backward(self) -> Program:
        """The program of the gradients."""
        sizes = {"TRANSPOSED_SHARED_BYTES": str(self.transposed.shared_bytes)}
        return Program(BACKWARD_SOURCE, tuple((self._macros | sizes).items()))

    @property
    def _macros(self) -> dict[str, str]:
        return {
            "HEAD_K": str(self.K),
            "HEAD_V": str(self.V),
            "K_SLICE": str(self.transposed.slice),
            "V_SLICE": str(self.untransposed.slice),
            "DTYPE": _DTYPES[self.dtype],
            "FEATURE_MAP": self.feature_map.upper(),
            "NORMALIZE": str(int(self.normalize)),
            "SHARED_BYTES": str(self.untransposed.shared_bytes),
        }


def unsupported_reason(K: int, V: int, dtype: torch.dtype) -> str | None:
    """Returns None if the kernel supports these head dims and dtype, else the reason in one sentence."""
    if dtype not in _DTYPES:
        dtype_name, supported = str(dtype).removeprefix("torch."), "float32, float16 and bfloat16"
        return f"the CUDA kernel does not support {dtype_name}; supported: {supported}"
    if K not in HEAD_DIMS or V not in HEAD_DIMS:
        return (
            f"the CUDA kernel does not support K = {K} and V = {V}; supported: multiples of 16 from 16 to 128"
        )
    return None


def segment_length(blocks: int, T: int, multiprocessors: int, chunk: int) -> int:
    """Returns the tokens per segment: all of T unless there are fewer blocks than multiprocessors."""
    segments = 1 if blocks >= multiprocessors else min(2 * multiprocessors // blocks, T // MIN_SEGMENT)
    return T if segments <= 1 else -(-T // segments // chunk) * chunk
