"""Causal linear attention in CUDA C++: checks, the launch plan and the launches of linear_attention.cu.

Every combination of K, V, dtype, feature map and normaliser is its own program, compiled on first use for the
device's architecture, so that the kernel's tiles and loops have constant sizes.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from linbench_kernels.cuda.compile import Cubin, Resources, compile_cubin, cuda_core

State = tuple[Tensor, Tensor]

SOURCE = Path(__file__).with_name("linear_attention.cu")
FEATURE_MAPS = ("elu1", "relu", "identity")
HEAD_DIMS = range(16, 129, 16)
MIN_SEGMENT = 512  # tokens; below it the state's own traffic outweighs the parallelism gained
MAX_UNSET_SHARED_BYTES = 48 * 1024  # what a launch may ask for without raising the kernel's limit

_DTYPES = {torch.float32: "FLOAT32", torch.float16: "FLOAT16", torch.bfloat16: "BFLOAT16"}


@dataclass(frozen=True)
class Variant:
    """One compiled program: what is constant in it, and the sizes that follow."""

    K: int
    V: int
    dtype: torch.dtype
    feature_map: str
    normalize: bool

    @property
    def chunk(self) -> int:
        """Tokens of a chunk: float32 takes twice the bytes, so half the tokens."""
        return 32 if self.dtype == torch.float32 else 64

    @property
    def v_slices(self) -> int:
        """Slices of V, a block each: at most 64 columns where V divides so into multiples of 16."""
        return 1 if self.V <= 64 or self.V % 32 else 2

    @property
    def threads(self) -> int:
        """Threads of a block: a warp for every 16 columns; float32 always four warps."""
        return 128 if self.dtype == torch.float32 else self.V // self.v_slices // 16 * 32

    @property
    def decode_threads(self) -> int:
        """Threads of a block of decode, which has a whole head."""
        return 256 if self.V > 64 else 128

    @property
    def shared_bytes(self) -> int:
        """Dynamic shared memory of a block: sizeof(Shared) in the kernel, which checks it."""
        itemsize, v_slice = self.dtype.itemsize, self.V // self.v_slices
        pad = 16 // itemsize
        stage = self.chunk * (2 * (self.K + pad) + v_slice + pad)
        scores = self.chunk * (self.chunk + pad)
        state = 4 * self.K * v_slice if self.dtype == torch.float32 else 0
        return (2 * stage + scores) * itemsize + 4 * (self.K + self.chunk) + state

    @property
    def defines(self) -> dict[str, str]:
        """The macros of the source."""
        return {
            "HEAD_K": str(self.K),
            "HEAD_V": str(self.V),
            "V_SLICE": str(self.V // self.v_slices),
            "DTYPE": _DTYPES[self.dtype],
            "FEATURE_MAP": self.feature_map.upper(),
            "NORMALIZE": str(int(self.normalize)),
            "SHARED_BYTES": str(self.shared_bytes),
        }


def why_not(K: int, V: int, dtype: torch.dtype) -> str | None:
    """Returns None if the kernel takes these head dims and dtype, else one sentence that says why not."""
    if dtype not in _DTYPES:
        allowed = "float32, float16 and bfloat16"
        return f"the CUDA kernel was given {str(dtype).removeprefix('torch.')}, and takes {allowed}"
    if K not in HEAD_DIMS or V not in HEAD_DIMS:
        return f"the CUDA kernel was given K = {K} and V = {V}, and takes multiples of 16 from 16 to 128"
    return None


def linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    feature_map: str = "elu1",
    normalize: bool = True,
    state: State | None = None,
) -> Tensor:
    """Returns the outputs of causal linear attention.

    S_t = S_{t-1} + phi(k_t) v_t^T, z_t = z_{t-1} + phi(k_t), o_t = S_t^T phi(q_t) / (phi(q_t) . z_t + 1e-6).

    The tokens of a chunk meet in one small masked product, chunks meet in the state, and the state stays on
    chip: q, k, v are read once, o is written once, and the normaliser costs no further traffic. When B H
    alone cannot fill the device, T is cut into segments: their states are summed apart, turned into initial
    states by a scan, and the segments then run side by side, at the price of reading k and v twice.

    Args:
        q: Queries [B, T, H, K]; float32, float16 or bfloat16.
        k: Keys [B, T, H, K].
        v: Values [B, T, H, V].
        feature_map: phi: "elu1" (elu(x) + 1), "relu" or "identity".
        normalize: Whether to divide by the denominator.
        state: (S [B, H, K, V], z [B, H, K]), float32, to start from; None for zeros.

    Returns:
        o [B, T, H, V] in the dtype of q. Half types multiply phi(q), phi(k), v, the scores and a rounded copy
        of the state on tensor cores and accumulate in float32; the state and the denominator stay float32.
        Scores beyond 65504 overflow in float16. float32 uses float32 FMA throughout. Per token and head:
        (2 K + 2 V) itemsize bytes and 2 C (K + V) + 4 K V FLOP, C = 64 (half types) or 32.

    Raises:
        RuntimeError: A tensor is not on a CUDA device, or a gradient is required.
        ValueError: Shapes, dtypes or the feature map are not taken.

    Source: Katharopoulos et al., "Transformers are RNNs", ICML 2020.
    """
    return _attend(q, k, v, feature_map, normalize, state, want_state=False)[0]


def linear_attention_prefill(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    feature_map: str = "elu1",
    normalize: bool = True,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Returns the outputs of causal linear attention and the state after the last token.

    As `linear_attention`; writing the state costs 4 (K V + K) bytes more per head.

    Args:
        q: Queries [B, T, H, K]; float32, float16 or bfloat16.
        k: Keys [B, T, H, K].
        v: Values [B, T, H, V].
        feature_map: phi: "elu1", "relu" or "identity".
        normalize: Whether to divide by the denominator.
        state: (S, z) to start from; None for zeros.

    Returns:
        o [B, T, H, V] in the dtype of q, and (S [B, H, K, V], z [B, H, K]) in float32.

    Raises:
        RuntimeError: A tensor is not on a CUDA device, or a gradient is required.
        ValueError: Shapes, dtypes or the feature map are not taken.

    Source: Katharopoulos et al., "Transformers are RNNs", ICML 2020.
    """
    o, final = _attend(q, k, v, feature_map, normalize, state, want_state=True)
    assert final is not None
    return o, final


def linear_attention_decode(
    q: Tensor, k: Tensor, v: Tensor, state: State, *, feature_map: str = "elu1", normalize: bool = True
) -> tuple[Tensor, State]:
    """Returns the output of one more token and the state given, which now holds the token; no gradient.

    S <- S + phi(k) v^T, z <- z + phi(k), o = S^T phi(q) / (phi(q) . z + 1e-6).

    The cost is the state's traffic, so one kernel reads it once and writes it once, 16 bytes at a time, in
    place. Nothing is allocated but o: after a first call, which compiles, a CUDA graph can record it.

    Args:
        q: Query [B, 1, H, K]; float32, float16 or bfloat16.
        k: Key [B, 1, H, K].
        v: Value [B, 1, H, V].
        state: (S [B, H, K, V], z [B, H, K]) in float32, contiguous, S from an address divisible by 16.
        feature_map: phi: "elu1", "relu" or "identity".
        normalize: Whether to divide by the denominator.

    Returns:
        o [B, 1, H, V] in the dtype of q, and the tensors of `state`; all arithmetic is float32. Per head:
        8 (K V + K) + (2 K + 2 V) itemsize bytes and 4 K V FLOP.

    Raises:
        RuntimeError: A tensor is not on a CUDA device, or a gradient is required.
        ValueError: Shapes, dtypes or the feature map are not taken, T is not 1, or the state cannot be
            written in place.

    Source: Katharopoulos et al., "Transformers are RNNs", ICML 2020.
    """
    variant = _check(q, k, v, feature_map, normalize, state)
    B, T, H, _ = q.shape
    if T != 1:
        raise ValueError(f"decode takes one token a call, T = 1, and was given T = {T}; use prefill for more")
    S, z = state
    for name, x in (("S", S), ("z", z)):
        if not x.is_contiguous():
            raise ValueError(
                f"decode writes the state in place, and {name} has strides {list(x.stride())}: "
                f"it must be contiguous; pass {name}.contiguous()"
            )
    if S.data_ptr() % 16:
        raise ValueError(
            "decode writes the state in place, 16 bytes at a time, and S starts "
            f"{S.data_ptr() % 16} bytes past a multiple of 16; pass S.clone()"
        )
    q, k, v = _dense(q), _dense(k), _dense(v)
    o = torch.empty_like(v)
    _launch("decode", variant, q.device, (B * H, 1), variant.decode_threads, 0, q, k, v, o, S, z)
    return o, state


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    feature_map: str,
    normalize: bool,
    state: State | None,
    *,
    want_state: bool,
) -> tuple[Tensor, State | None]:
    """Returns o, and the final state if wanted: one launch, or three when T is cut into segments."""
    variant = _check(q, k, v, feature_map, normalize, state)
    B, T, H, K = q.shape
    V = v.shape[-1]
    q, k, v = _dense(q), _dense(k), _dense(v)
    S_in, z_in = (_dense(state[0]), _dense(state[1])) if state else (None, None)
    o = torch.empty_like(v)
    final = (_float32(v, B, H, K, V), _float32(v, B, H, K)) if want_state else None
    S_out, z_out = final or (None, None)

    blocks = B * H * variant.v_slices
    length = _segment_length(blocks, T, _multiprocessors(q.device), variant.chunk)
    segments = -(-T // length)
    size = (variant.threads, variant.shared_bytes)
    if segments == 1:
        inputs = (q, k, v, o, S_in, z_in, S_out, z_out, T, H, length)
        _launch("forward", variant, q.device, (blocks, 1), *size, *inputs)
        return o, final
    S, z = _float32(v, B, H, segments, K, V), _float32(v, B, H, segments, K)
    _launch("segment_states", variant, q.device, (blocks, segments), *size, k, v, S, z, T, H, length)
    grid = (B * H, -(-(K * V + K) // 256))
    _launch("scan", variant, q.device, grid, 256, 0, S, z, S_in, z_in, S_out, z_out, segments)
    inputs = (q, k, v, o, S, z, None, None, T, H, length)
    _launch("forward", variant, q.device, (blocks, segments), *size, *inputs)
    return o, final


def _segment_length(blocks: int, T: int, multiprocessors: int, chunk: int) -> int:
    """Returns the tokens of a segment: all of T unless the blocks leave multiprocessors idle."""
    segments = 1 if blocks >= multiprocessors else min(2 * multiprocessors // blocks, T // MIN_SEGMENT)
    return T if segments <= 1 else -(-T // segments // chunk) * chunk


def _check(
    q: Tensor, k: Tensor, v: Tensor, feature_map: str, normalize: bool, state: State | None
) -> Variant:
    """Returns the variant that takes these inputs, or raises with what is wrong with them."""
    if feature_map not in FEATURE_MAPS:
        raise ValueError(f"feature_map was {feature_map!r}, and is one of {', '.join(FEATURE_MAPS)}")
    if q.dim() != 4 or k.shape != q.shape or v.dim() != 4 or v.shape[:3] != q.shape[:3] or min(q.shape) < 1:
        raise ValueError(
            f"q {list(q.shape)}, k {list(k.shape)}, v {list(v.shape)}: "
            "q and k are [B, T, H, K] and v is [B, T, H, V], with no empty axis"
        )
    if not q.dtype == k.dtype == v.dtype:
        raise ValueError(f"q, k, v have one dtype, and were given {q.dtype}, {k.dtype}, {v.dtype}")
    B, _, H, K = q.shape
    V = v.shape[-1]
    if reason := why_not(K, V, q.dtype):
        raise ValueError(reason)
    if state is not None:
        S, z = state
        if (S.shape, z.shape) != ((B, H, K, V), (B, H, K)) or not S.dtype == z.dtype == torch.float32:
            raise ValueError(
                f"state (S {list(S.shape)} {S.dtype}, z {list(z.shape)} {z.dtype}): "
                f"S is {[B, H, K, V]}, z is {[B, H, K]}, both float32"
            )
    tensors = (q, k, v, *(state or ()))
    if torch.is_grad_enabled() and any(x.requires_grad for x in tensors):
        raise RuntimeError("the CUDA kernel has no backward: use torch.no_grad() or detached inputs")
    _require_device(tensors)
    return Variant(K, V, q.dtype, feature_map, normalize)


def _require_device(tensors: tuple[Tensor, ...]) -> None:
    devices = {x.device for x in tensors}
    if len(devices) > 1 or tensors[0].device.type != "cuda":
        given = ", ".join(sorted(str(device) for device in devices))
        raise RuntimeError(f"the CUDA kernel needs all tensors on one CUDA device, and was given {given}")


def _dense(x: Tensor) -> Tensor:
    """Returns x contiguous and aligned to the 16 bytes that one access moves."""
    x = x.contiguous()
    return x if x.data_ptr() % 16 == 0 else x.clone()


def _float32(like: Tensor, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device=like.device)


@cache
def _multiprocessors(device: torch.device) -> int:
    return int(torch.cuda.get_device_properties(device).multi_processor_count)


@dataclass(frozen=True)
class Launch:
    """A kernel that was launched.

    Attributes:
        name: The kernel's.
        configuration: What it was compiled for, as macros: "DTYPE=BFLOAT16 HEAD_K=64 ...".
        hash: Of the machine code, 16 hexadecimal digits.
        resources: What it takes of a multiprocessor.
        shared_bytes: Shared memory of a block, what the launch asked for included.
    """

    name: str
    configuration: str
    hash: str
    resources: Resources
    shared_bytes: int


_recordings: list[list[Launch]] = []


@contextmanager
def recorded_launches() -> Iterator[list[Launch]]:
    """Yields a list to which every launch of these kernels is added meanwhile."""
    recording: list[Launch] = []
    _recordings.append(recording)
    try:
        yield recording
    finally:
        _recordings.pop()


def _describe(name: str, variant: Variant, cubin: Cubin, shared_bytes: int) -> Launch:
    """Returns what a launch is recorded as."""
    kernel = f"linear_attention_{name}"
    return Launch(
        name=kernel,
        configuration=" ".join(f"{macro}={value}" for macro, value in sorted(variant.defines.items())),
        hash=hashlib.sha256(cubin.code).hexdigest()[:16],
        resources=cubin.kernels[kernel],
        shared_bytes=shared_bytes + cubin.kernels[kernel].static_shared_bytes,
    )


@cache
def _kernel(name: str, variant: Variant, device: int, shared_bytes: int) -> tuple[Any, Launch]:
    """Returns a kernel loaded on a device and allowed the shared memory it asks for, and what it is."""
    from cuda.bindings import driver

    major, minor = torch.cuda.get_device_capability(device)
    cubin = compile_cubin(SOURCE, f"sm_{major}{minor}", variant.defines)
    kernel = cuda_core().ObjectCode.from_cubin(cubin.code).get_kernel(f"linear_attention_{name}")
    if shared_bytes > MAX_UNSET_SHARED_BYTES:
        limit = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        handle = driver.CUkernel(int(kernel._handle))  # older releases have no public `handle`
        (error,) = driver.cuKernelSetAttribute(limit, shared_bytes, handle, driver.CUdevice(device))
        if error != driver.CUresult.CUDA_SUCCESS:
            raise RuntimeError(f"{shared_bytes} bytes of shared memory are refused on cuda:{device}: {error}")
    return kernel, _describe(name, variant, cubin, shared_bytes)


def _launch(
    name: str,
    variant: Variant,
    device: torch.device,
    grid: tuple[int, int],
    threads: int,
    shared_bytes: int,
    *arguments: Tensor | int | None,
) -> None:
    """Launches a kernel on torch's current stream; arguments are 64 bits wide, a missing tensor is null."""
    core = cuda_core()
    words = [x.data_ptr() if isinstance(x, Tensor) else x or 0 for x in arguments]
    with torch.cuda.device(device):
        core.Device(device.index).set_current()
        kernel, launch = _kernel(name, variant, device.index, shared_bytes)
        for recording in _recordings:
            recording.append(launch)
        stream = core.Stream.from_handle(torch.cuda.current_stream().cuda_stream)
        config = core.LaunchConfig(grid=grid, block=threads, shmem_size=shared_bytes)
        core.launch(stream, config, kernel, *words)
