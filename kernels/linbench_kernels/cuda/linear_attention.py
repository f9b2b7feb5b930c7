"""Causal linear attention in CUDA C++: forward, prefill, decode and gradients.

Every combination of K, V, dtype, feature map and normaliser is a separate program, compiled on first use for
the device's architecture, so that the kernel's tiles and loops have constant sizes; the gradients are a
second program, compiled at the first backward pass.

Design of the kernels: a chunk of C tokens depends only on the state before it, so all work within a chunk
consists of small matrix products, and the state stays on chip: q, k, v are read once, o is written once, and
the normaliser adds no traffic. If B H is too small to fill the device, T is split into segments: their states
are first summed separately, a scan turns the sums into initial states, and then all segments run in parallel,
at the cost of reading k and v twice. Each gradient is again linear attention (linear_attention_backward.cu),
so the same code computes all of them.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from linbench_kernels.cuda.launch import Program, launch
from linbench_kernels.cuda.linear_attention_plan import (
    DELTA_THREADS,
    FEATURE_MAPS,
    SCAN_THREADS,
    Tiles,
    Variant,
    segment_length,
    unsupported_reason,
)

State = tuple[Tensor, Tensor]
_MaybeState = tuple[Tensor | None, Tensor | None]


def linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    feature_map: str = "elu1",
    normalize: bool = True,
    state: State | None = None,
) -> Tensor:
    """Returns the outputs of causal linear attention, differentiable in q, k, v and the initial state.

    S_t = S_{t-1} + phi(k_t) v_t^T, z_t = z_{t-1} + phi(k_t), o_t = S_t^T phi(q_t) / (phi(q_t) . z_t + 1e-6).

    The backward pass saves q, k, v, o and one float32 number per row, and recomputes the states.

    Args:
        q: Queries [B, T, H, K]; float32, float16 or bfloat16.
        k: Keys [B, T, H, K].
        v: Values [B, T, H, V].
        feature_map: phi: "elu1" (elu(x) + 1), "relu" or "identity".
        normalize: Whether to divide by the denominator.
        state: Initial state (S [B, H, K, V], z [B, H, K]) in float32; None for zeros.

    Returns:
        o [B, T, H, V] in the dtype of q. With half types, phi(q), phi(k), v, the scores and a rounded copy of
        the state are multiplied on tensor cores and accumulated in float32; the state and the denominator
        stay in float32. Scores above 65504 overflow in float16. float32 uses float32 FMA throughout. The same
        holds for the gradients, whose operands include g = dL/do and phi(q) divided by the denominator.

        Per token and head, with item size e, C = 64 (half types) or 32, and the slices of a head sharing
        their inputs in L2: forward (2 K + 2 V) e bytes and 2 C (K + V) + 4 K V FLOP; backward (8 K + 8 V) e +
        24 bytes and three times the FLOP. Segments of L tokens add (K + V) e + 16 K (V + 1) / L bytes to the
        forward, and about twice that to the backward.

    Raises:
        RuntimeError: A tensor is not on a CUDA device.
        ValueError: The shapes, dtypes or feature map are not supported.

    Source: Katharopoulos et al., "Transformers are RNNs", ICML 2020.
    """
    _check(q, k, v, feature_map, normalize, state)
    S, z = state or (None, None)
    o: Tensor = _apply(q, k, v, S, z, feature_map, normalize, False)[0]
    return o


def linear_attention_prefill(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    feature_map: str = "elu1",
    normalize: bool = True,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Returns the outputs of causal linear attention and the state after the last, differentiable.

    Like `linear_attention`; writing the state adds 4 (K V + K) bytes per head.

    Args:
        q: Queries [B, T, H, K]; float32, float16 or bfloat16.
        k: Keys [B, T, H, K].
        v: Values [B, T, H, V].
        feature_map: phi: "elu1", "relu" or "identity".
        normalize: Whether to divide by the denominator.
        state: Initial state (S, z); None for zeros.

    Returns:
        o [B, T, H, V] in the dtype of q, and (S [B, H, K, V], z [B, H, K]) in float32.

    Raises:
        RuntimeError: A tensor is not on a CUDA device.
        ValueError: The shapes, dtypes or feature map are not supported.

    Source: Katharopoulos et al., "Transformers are RNNs", ICML 2020.
    """
    _check(q, k, v, feature_map, normalize, state)
    S, z = state or (None, None)
    o, S, z = _apply(q, k, v, S, z, feature_map, normalize, True)
    return o, (S, z)


def linear_attention_decode(
    q: Tensor, k: Tensor, v: Tensor, state: State, *, feature_map: str = "elu1", normalize: bool = True
) -> tuple[Tensor, State]:
    """Returns the output of one more token and `state`, which it updates in place; not differentiable.

    S <- S + phi(k) v^T, z <- z + phi(k), o = S^T phi(q) / (phi(q) . z + 1e-6).

    The cost is the memory traffic of the state: one kernel reads and writes it once, in place, 16 bytes per
    access. Only o is allocated: after a first call, which compiles, a CUDA graph can capture the kernel.

    Args:
        q: Query [B, 1, H, K]; float32, float16 or bfloat16.
        k: Key [B, 1, H, K].
        v: Value [B, 1, H, V].
        state: (S [B, H, K, V], z [B, H, K]) in float32, contiguous, S aligned to 16 bytes.
        feature_map: phi: "elu1", "relu" or "identity".
        normalize: Whether to divide by the denominator.

    Returns:
        o [B, 1, H, V] in the dtype of q, and the tensors of `state`; all arithmetic is float32. Per head:
        8 (K V + K) + (2 K + 2 V) itemsize bytes and 4 K V FLOP.

    Raises:
        RuntimeError: A tensor is not on a CUDA device, or a gradient is required.
        ValueError: The shapes, dtypes or feature map are not supported, T is not 1, or the state cannot be
            written in place.

    Source: Katharopoulos et al., "Transformers are RNNs", ICML 2020.
    """
    variant = _check(q, k, v, feature_map, normalize, state)
    B, T, H, _ = q.shape
    if T != 1:
        raise ValueError(f"decode supports only T = 1; q has T = {T}: use linear_attention_prefill")
    if torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v, *state)):
        raise RuntimeError("decode writes the state in place and has no gradient: use torch.no_grad()")
    S, z = state
    for name, x in (("S", S), ("z", z)):
        if not x.is_contiguous():
            raise ValueError(
                f"decode writes the state in place, but {name} has strides {list(x.stride())}; "
                f"allowed: contiguous; pass {name}.contiguous()"
            )
    if S.data_ptr() % 16:
        raise ValueError(
            "decode writes the state in place, 16 bytes per access, but the address of S is "
            f"{S.data_ptr() % 16} bytes past a multiple of 16; pass S.clone()"
        )
    q, k, v = _dense(q), _dense(k), _dense(v)
    o = torch.empty_like(v)
    launch(
        "linear_attention_decode", variant.forward, q.device, (B * H, 1), variant.decode_threads, 0,
        q, k, v, o, S, z,
    )  # fmt: skip
    return o, state


class _LinearAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        S: Tensor | None,
        z: Tensor | None,
        feature_map: str,
        normalize: bool,
        final: bool,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        variant = Variant(q.shape[3], v.shape[3], q.dtype, feature_map, normalize)
        q, k, v = _dense(q), _dense(k), _dense(v)
        S, z = (None, None) if S is None or z is None else (_dense(S), _dense(z))
        B, T, H, K = q.shape
        o = torch.empty_like(v)
        inverses = _float32(v, B, H, T) if normalize and any(ctx.needs_input_grad) else None
        S_out, z_out = (_float32(v, B, H, K, variant.V), _float32(v, B, H, K)) if final else (None, None)

        length = _segment_length(q, variant.untransposed)
        starts = _states(variant, k, v, (S, z), (S_out, z_out), length)
        ends = (S_out, z_out) if length == T else (None, None)  # otherwise the scan has filled them
        tensors = (q, k, v, o, inverses, *starts, *ends)
        _run_pass("forward", variant.forward, variant.untransposed, length, *tensors)

        ctx.set_materialize_grads(False)
        ctx.save_for_backward(q, k, v, S, z, o if normalize else None, inverses)
        ctx.variant = variant
        return o, S_out, z_out

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, g: Tensor | None, final_dS: Tensor | None, final_dz: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        saved = _Saved(*ctx.saved_tensors)
        g = torch.zeros_like(saved.v) if g is None else _dense(g)
        final_dS, final_dz = (None if x is None else _dense(x) for x in (final_dS, final_dz))
        dS, dz = (
            torch.empty_like(x) if x is not None and needed else None
            for x, needed in zip((saved.S, saved.z), ctx.needs_input_grad[3:5], strict=True)
        )
        dq, dk, dv = _gradients(ctx.variant, saved, g, (final_dS, final_dz), (dS, dz))
        return dq, dk, dv, dS, dz, None, None, None


_apply: Callable[..., Any] = _LinearAttention.apply  # torch does not annotate it


class _Saved(NamedTuple):
    """Tensors that the forward pass saves; o and 1 / d only if there are denominators d."""

    q: Tensor
    k: Tensor
    v: Tensor
    S: Tensor | None
    z: Tensor | None
    o: Tensor | None
    inverses: Tensor | None


def _gradients(
    variant: Variant, saved: _Saved, g: Tensor, final: _MaybeState, initial: _MaybeState
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the gradients of q, k and v from those of o and `final`, and fills `initial`."""
    q, k, v, S, z, o, inverses = saved
    dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
    deltas = None if o is None else _deltas(variant, g, o)
    untransposed, transposed, program = variant.untransposed, variant.transposed, variant.backward
    length = _segment_length(q, min(untransposed, transposed, key=lambda tiles: tiles.slices))

    starts = _states(variant, k, v, (S, z), (None, None), length)
    _run_pass("query_gradient", program, transposed, length, q, k, v, g, dq, inverses, deltas, *starts)
    del starts

    (R, r), (R_out, r_out) = final, initial
    if length < q.shape[1]:
        R, r = _per_segment(variant, q, length)
        _run_pass("segment_adjoints", program, transposed, length, q, g, inverses, deltas, R, r)
        _scan("scan_adjoints", program, (R, r), final, initial)
        R_out, r_out = None, None  # the scan has filled them
    _run_pass("key_gradient", program, transposed, length, q, k, v, g, dk, inverses, deltas, R, r, r_out)
    _run_pass("value_gradient", program, untransposed, length, q, k, g, dv, inverses, R, R_out)
    return dq, dk, dv


def _states(
    variant: Variant, k: Tensor, v: Tensor, initial: _MaybeState, final: _MaybeState, length: int
) -> _MaybeState:
    """Returns the initial states of the segments; with several segments, also fills `final`."""
    if length == k.shape[1]:
        return initial
    sums = _per_segment(variant, k, length)
    _run_pass("segment_states", variant.forward, variant.untransposed, length, k, v, *sums)
    _scan("scan", variant.forward, sums, initial, final)
    return sums


def _deltas(variant: Variant, g: Tensor, o: Tensor) -> Tensor:
    """Returns g . o for every row, [B, H, T] in float32."""
    B, T, H, _ = g.shape
    deltas = _float32(g, B, H, T)
    grid = (-(-B * T * H * 32 // DELTA_THREADS), 1)
    launch(
        "linear_attention_deltas", variant.backward, g.device, grid, DELTA_THREADS, 0, g, o, deltas, B, T, H
    )
    return deltas


def _scan(name: str, program: Program, sums: State, start: _MaybeState, end: _MaybeState) -> None:
    """Replaces the contribution of each segment by its initial state, and fills `end`."""
    B, H, segments, K, V = sums[0].shape
    grid = (B * H, -(-(K * V + K) // SCAN_THREADS))
    kernel = f"linear_attention_{name}"
    launch(kernel, program, sums[0].device, grid, SCAN_THREADS, 0, *sums, *start, *end, segments)


def _run_pass(name: str, program: Program, tiles: Tiles, length: int, *tensors: Tensor | None) -> None:
    """Launches a kernel that passes over the tokens of each segment; the first tensor is [B, T, H, K]."""
    first = tensors[0]
    assert first is not None
    B, T, H, _ = first.shape
    grid = (B * H * tiles.slices, -(-T // length))
    size = (tiles.threads, tiles.shared_bytes)
    launch(f"linear_attention_{name}", program, first.device, grid, *size, *tensors, T, H, length)


def _per_segment(variant: Variant, q: Tensor, length: int) -> State:
    """Returns memory for one state per segment: [B, H, segments, K, V] and [B, H, segments, K]."""
    B, T, H, K = q.shape
    segments = -(-T // length)
    return _float32(q, B, H, segments, K, variant.V), _float32(q, B, H, segments, K)


def _segment_length(q: Tensor, tiles: Tiles) -> int:
    B, T, H, _ = q.shape
    return segment_length(B * H * tiles.slices, T, _multiprocessors(q.device), tiles.chunk)


def _check(
    q: Tensor, k: Tensor, v: Tensor, feature_map: str, normalize: bool, state: State | None
) -> Variant:
    """Returns the variant for these inputs; raises if they are not supported."""
    if feature_map not in FEATURE_MAPS:
        raise ValueError(f"feature_map is {feature_map!r}; allowed: {', '.join(FEATURE_MAPS)}")
    if q.dim() != 4 or k.shape != q.shape or v.dim() != 4 or v.shape[:3] != q.shape[:3] or min(q.shape) < 1:
        raise ValueError(
            f"shapes are q {list(q.shape)}, k {list(k.shape)}, v {list(v.shape)}; "
            "allowed: q and k [B, T, H, K], v [B, T, H, V], with no empty axis"
        )
    if not q.dtype == k.dtype == v.dtype:
        raise ValueError(f"dtypes are q {q.dtype}, k {k.dtype}, v {v.dtype}; allowed: the same dtype for all")
    B, _, H, K = q.shape
    V = v.shape[-1]
    if reason := unsupported_reason(K, V, q.dtype):
        raise ValueError(reason)
    if state is not None:
        S, z = state
        if (S.shape, z.shape) != ((B, H, K, V), (B, H, K)) or not S.dtype == z.dtype == torch.float32:
            raise ValueError(
                f"state is S {list(S.shape)} {S.dtype}, z {list(z.shape)} {z.dtype}; "
                f"allowed: S {[B, H, K, V]}, z {[B, H, K]}, both float32"
            )
    tensors = (q, k, v, *(state or ()))
    _require_device(tensors)
    return Variant(K, V, q.dtype, feature_map, normalize)


def _require_device(tensors: tuple[Tensor, ...]) -> None:
    devices = {x.device for x in tensors}
    if len(devices) > 1 or tensors[0].device.type != "cuda":
        names = ", ".join(sorted(str(device) for device in devices))
        raise RuntimeError(f"the CUDA kernel needs all tensors on one CUDA device; they are on {names}")


def _dense(x: Tensor) -> Tensor:
    """Returns x contiguous and aligned to 16 bytes, the size of one access."""
    x = x.contiguous()
    return x if x.data_ptr() % 16 == 0 else x.clone()


def _float32(like: Tensor, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device=like.device)


@cache
def _multiprocessors(device: torch.device) -> int:
    return int(torch.cuda.get_device_properties(device).multi_processor_count)
