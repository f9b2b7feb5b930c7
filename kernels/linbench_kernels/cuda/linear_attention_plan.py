"""What of linear attention is compiled for which inputs, and how the work is cut into blocks."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from linbench_kernels.cuda.launch import Program

FORWARD_SOURCE = Path(__file__).with_name("linear_attention.cu")
BACKWARD_SOURCE = Path(__file__).with_name("linear_attention_backward.cu")
FEATURE_MAPS = ("elu1", "relu", "identity")
HEAD_DIMS = range(16, 129, 16)
MIN_SEGMENT = 512  # tokens; below it the state's own traffic outweighs the parallelism gained

SCAN_THREADS = 256  # each for an element of a state
DELTA_THREADS = 256  # a warp for each row

_DTYPES = {torch.float32: "FLOAT32", torch.float16: "FLOAT16", torch.bfloat16: "BFLOAT16"}


@dataclass(frozen=True)
class Tiles:
    """The sizes of a kernel whose state is [inner, outer], cut into slices of outer, a block each."""

    inner: int
    outer: int
    dtype: torch.dtype

    @property
    def chunk(self) -> int:
        """Tokens of a chunk: float32 takes twice the bytes, so half the tokens."""
        return 32 if self.dtype == torch.float32 else 64

    @property
    def slices(self) -> int:
        """Slices: at most 64 columns where `outer` divides so into multiples of 16."""
        return 1 if self.outer <= 64 or self.outer % 32 else 2

    @property
    def slice(self) -> int:
        """Columns of a slice."""
        return self.outer // self.slices

    @property
    def threads(self) -> int:
        """Threads of a block: a warp for every 16 columns; float32 always four warps."""
        return 128 if self.dtype == torch.float32 else self.slice // 16 * 32

    def flops(self, T: int, *, outputs: bool = True, key_sums: bool = False) -> int:
        """Returns the operations of the products of a walk over T tokens of a head, padded ones too.

        A slice of W columns has 2 C I W for its state in a chunk of C tokens and, if it has outputs, as much
        again and 2 A (I + W) for A scores, I = inner. float32 has all of C^2; tensor cores those tiles of
        16 x 16 that reach the diagonal, C (C + 16) / 2.

        Args:
            T: tokens.
            outputs: whether the walk has outputs; else it sums states alone.
            key_sums: whether it sums keys, which tensor cores do as 16 columns more of a state.
        """
        C, inner, width, full = self.chunk, self.inner, self.slice, self.dtype == torch.float32
        of_chunk = C * inner * width
        if outputs:
            of_chunk += C * inner * width + (C * C if full else C * (C + 16) // 2) * (inner + width)
        if key_sums and not full:
            of_chunk += C * inner * 16
        return 2 * -(-T // C) * self.slices * of_chunk

    @property
    def shared_bytes(self) -> int:
        """Dynamic shared memory of a block: sizeof(Shared) in the kernel, which checks it."""
        itemsize, pad = self.dtype.itemsize, 16 // self.dtype.itemsize
        stage = self.chunk * ((2 * (self.inner + pad) + self.slice + pad) * itemsize + 2 * 4)
        scores = self.chunk * (self.chunk + pad) * itemsize
        state = 4 * self.inner * self.slice if self.dtype == torch.float32 else 0
        return 2 * stage + scores + 4 * (max(self.inner, self.slice) + 8) + state


@dataclass(frozen=True)
class Variant:
    """The compiled programs for some inputs: what is constant in them, and the sizes that follow."""

    K: int
    V: int
    dtype: torch.dtype
    feature_map: str
    normalize: bool

    @property
    def stored(self) -> Tiles:
        """Of the kernels that keep the state as it is stored, [K, V]: o, dv."""
        return Tiles(self.K, self.V, self.dtype)

    @property
    def transposed(self) -> Tiles:
        """Of the kernels that keep it [V, K]: dq, dk."""
        return Tiles(self.V, self.K, self.dtype)

    @property
    def decode_threads(self) -> int:
        """Threads of a block of decode, which has a whole head."""
        return 256 if self.V > 64 else 128

    @property
    def blocks(self) -> dict[str, tuple[int, int]]:
        """Threads and dynamic shared memory of a block of every kernel."""
        stored = (self.stored.threads, self.stored.shared_bytes)
        transposed = (self.transposed.threads, self.transposed.shared_bytes)
        return {
            "forward": stored,
            "segment_states": stored,
            "scan": (SCAN_THREADS, 0),
            "decode": (self.decode_threads, 0),
            "deltas": (DELTA_THREADS, 0),
            "query_gradient": transposed,
            "segment_adjoints": transposed,
            "scan_adjoints": (SCAN_THREADS, 0),
            "key_gradient": transposed,
            "value_gradient": stored,
        }

    def flops(self, B: int, T: int, H: int, multiprocessors: int, *, gradient: bool) -> int:
        """Returns the operations of the products of a forward pass and, if asked for, of the gradients."""
        stored, transposed = self.stored, self.transposed
        flops = stored.flops(T, key_sums=True)
        if gradient:
            flops += 2 * transposed.flops(T) + stored.flops(T)
        blocks, sums = B * H * stored.slices, stored.flops(T, outputs=False, key_sums=True)
        if segment_length(blocks, T, multiprocessors, stored.chunk) < T:
            flops += sums
        blocks = B * H * min(stored.slices, transposed.slices)
        if gradient and segment_length(blocks, T, multiprocessors, stored.chunk) < T:
            flops += sums + transposed.flops(T, outputs=False)
        return B * H * flops

    @cached_property
    def forward(self) -> Program:
        """Forward, prefill and decode."""
        return Program(FORWARD_SOURCE, tuple(self._macros.items()))

    @cached_property
    def backward(self) -> Program:
        """The gradients."""
        sizes = {"TRANSPOSED_SHARED_BYTES": str(self.transposed.shared_bytes)}
        return Program(BACKWARD_SOURCE, tuple((self._macros | sizes).items()))

    @property
    def _macros(self) -> dict[str, str]:
        return {
            "HEAD_K": str(self.K),
            "HEAD_V": str(self.V),
            "K_SLICE": str(self.transposed.slice),
            "V_SLICE": str(self.stored.slice),
            "DTYPE": _DTYPES[self.dtype],
            "FEATURE_MAP": self.feature_map.upper(),
            "NORMALIZE": str(int(self.normalize)),
            "SHARED_BYTES": str(self.stored.shared_bytes),
        }


def unsupported_reason(K: int, V: int, dtype: torch.dtype) -> str | None:
    """Returns None if the kernel takes these head dims and dtype, else one sentence that says why not."""
    if dtype not in _DTYPES:
        allowed = "float32, float16 and bfloat16"
        return f"the CUDA kernel was given {str(dtype).removeprefix('torch.')}, and takes {allowed}"
    if K not in HEAD_DIMS or V not in HEAD_DIMS:
        return f"the CUDA kernel was given K = {K} and V = {V}, and takes multiples of 16 from 16 to 128"
    return None


def segment_length(blocks: int, T: int, multiprocessors: int, chunk: int) -> int:
    """Returns the tokens of a segment: all of T unless the blocks leave multiprocessors idle."""
    segments = 1 if blocks >= multiprocessors else min(2 * multiprocessors // blocks, T // MIN_SEGMENT)
    return T if segments <= 1 else -(-T // segments // chunk) * chunk
