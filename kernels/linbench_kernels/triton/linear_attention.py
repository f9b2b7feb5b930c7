"""Causal linear attention in Triton: forward, prefill, decode and gradients.

Source: A. Katharopoulos, A. Vyas, N. Pappas and F. Fleuret, "Transformers are RNNs: Fast Autoregressive
Transformers with Linear Attention", ICML 2020.

Why the kernels are written so. A chunk of C steps needs only the state before it, so all work within a chunk
is matrix products, and the state [K, V] never leaves the registers of a program: q, k and v are read once and
o is written once. Where batch and heads alone would leave processors idle, the sequence is cut into segments,
whose states come from a first pass over k and v. The gradients are the same recurrence, explained in
linear_attention_backward, and recompute the states they need: only q, k, v, o and one float32 number for each
row are kept for them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from linbench_kernels.triton import linear_attention_backward as backward_kernels
from linbench_kernels.triton import linear_attention_forward as forward_kernels
from linbench_kernels.triton import linear_attention_state as state_kernels
from linbench_kernels.triton.launch import as_rows, launch_settings, strides_of
from linbench_kernels.triton.linear_attention_plan import Tiles, segment_length, tiles

FEATURE_MAPS = ("elu1", "relu", "identity")
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
SIZES = range(16, 257)  # of K and of V

State = tuple[Tensor, Tensor]
"""S [B, H, K, V] and z [B, H, K], contiguous float32."""


def linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    feature_map: str = "elu1",
    normalize: bool = True,
    state: State | None = None,
) -> Tensor:
    """Returns o [B, T, H, V], differentiable in q, k, v and the initial state.

    With phi the feature map (elu1: elu(x) + 1; relu; identity), S_0 = S or 0 and z_0 = z or 0:

        S_t = S_{t-1} + phi(k_t) v_t^T        z_t = z_{t-1} + phi(k_t)
        o_t = S_t^T phi(q_t) / (phi(q_t) . z_t + 1e-6)        (normalize=False: no denominator)

    Products are in the dtype of q, k and v (float32: IEEE, not TF32) with float32 accumulation; states and
    denominators are float32.

    Cost, per step and head, in bytes (e a number's) and FLOP with chunks of C: forward 2e (K + V) and
    2C (K + V) + 4KV; backward, if each tensor came once from device memory, e (4K + 4V) and three times the
    FLOP (it is read once for each gradient, from L2 where that holds it). Segments, for small B H, read k and
    v once more.

    Args:
        q: [B, T, H, K], float32, float16 or bfloat16; any T >= 1; 16 <= K, V <= 256.
        k: [B, T, H, K], of the dtype and device of q.
        v: [B, T, H, V], likewise.
        feature_map: "elu1", "relu" or "identity".
        normalize: whether to divide by the denominator.
        state: S [B, H, K, V] and z [B, H, K] before the first step, float32; or None for zeros.

    Raises:
        ValueError: a shape, dtype, device or feature map that is not allowed.
        RuntimeError: the tensors are not on a CUDA device.
    """
    _check(q, k, v, state, feature_map)
    S, z = state if state is not None else (None, None)
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
    """Returns o as `linear_attention` does, and the state (S, z) after the last step, differentiable alike.

    Equation, arguments, errors and cost are those of `linear_attention`, plus 4 K (V + 1) bytes a head.
    """
    _check(q, k, v, state, feature_map)
    S, z = state if state is not None else (None, None)
    o, S, z = _apply(q, k, v, S, z, feature_map, normalize, True)
    return o, (S, z)


def linear_attention_decode(
    q: Tensor, k: Tensor, v: Tensor, state: State, *, feature_map: str = "elu1", normalize: bool = True
) -> tuple[Tensor, State]:
    """Returns o [B, 1, H, V] of one step and the state (S, z) after it, in new tensors; not differentiable.

    The equation is that of `linear_attention` with T = 1, all in float32 but for q, k, v and o themselves. A
    step reads the state once and writes it once, 8 K (V + 1) bytes and 4 K V FLOP a head: it is bound by
    memory, and tensor cores would gain nothing.

    Args:
        q: [B, 1, H, K], float32, float16 or bfloat16.
        k: [B, 1, H, K], of the dtype and device of q.
        v: [B, 1, H, V], likewise.
        state: S [B, H, K, V] and z [B, H, K] before the step, float32.
        feature_map: "elu1", "relu" or "identity".
        normalize: whether to divide by the denominator.

    Raises:
        ValueError: a shape, dtype, device or feature map that is not allowed, or T > 1.
        RuntimeError: the tensors are not on a CUDA device, or a gradient would be lost.
    """
    _check(q, k, v, state, feature_map)
    if q.shape[1] != 1:
        raise ValueError(f"decode takes T = 1; q has T = {q.shape[1]}: use linear_attention_prefill.")
    if torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v, *state)):
        raise RuntimeError("linear_attention_decode has no gradient; call it under torch.no_grad().")
    q, k, v = as_rows(q), as_rows(k), as_rows(v)
    S, z = state[0].contiguous(), state[1].contiguous()
    B, _, H, K = q.shape
    V = v.shape[3]
    o, new_S, new_z = q.new_empty(v.shape), torch.empty_like(S), torch.empty_like(z)
    block_v = 32
    with torch.cuda.device_of(q):
        forward_kernels.decode[(B * H * triton.cdiv(V, block_v),)](
            q, k, v, o, S, z, new_S, new_z, strides_of(q), strides_of(k), strides_of(v), H,
            K=K, V=V, FEATURE_MAP=feature_map, NORMALIZE=normalize,
            BLOCK_K=triton.next_power_of_2(K), BLOCK_V=block_v, num_warps=4,
        )  # fmt: skip
    return o, (new_S, new_z)


class _Segments(NamedTuple):
    """How a sequence is cut: steps of a segment, a multiple of every chunk; their number."""

    length: int
    number: int


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
        q, k, v = as_rows(q), as_rows(k), as_rows(v)
        S, z = (None, None) if S is None or z is None else (S.contiguous(), z.contiguous())
        B, T, H, K = q.shape
        V = v.shape[3]
        o = q.new_empty(B, T, H, V)
        keep = normalize and any(ctx.needs_input_grad)
        denominators = q.new_empty(B, H, T, dtype=torch.float32) if keep else None
        final_S = q.new_empty(B, H, K, V, dtype=torch.float32) if final else None
        final_z = q.new_empty(B, H, K, dtype=torch.float32) if final else None
        with torch.cuda.device_of(q):
            segments = _segments(q, v)
            states, normalizers = _states(k, v, S, z, segments, feature_map)
            tile = _tiles(q, K, V)
            slices = triton.cdiv(V, tile.outer)
            forward_kernels.forward[(B * H * segments.number * slices,)](
                q, k, v, o, denominators, states, normalizers, final_S, final_z,
                strides_of(q), strides_of(k), strides_of(v), T, H, segments.length, segments.number, slices,
                K=K, V=V, FEATURE_MAP=feature_map, NORMALIZE=normalize,
                CHUNK=tile.chunk, BLOCK_K=tile.inner, BLOCK_V=tile.outer, **launch_settings(q, tile),
            )  # fmt: skip
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(q, k, v, S, z, o if normalize else None, denominators)
        ctx.feature_map = feature_map
        return o, final_S, final_z

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, g: Tensor | None, final_dS: Tensor | None, final_dz: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        q, k, v, S, z, o, denominators = ctx.saved_tensors
        g = q.new_zeros(v.shape) if g is None else as_rows(g)
        with torch.cuda.device_of(q):
            gradients = _gradients(q, k, v, S, z, o, denominators, g, final_dS, final_dz, ctx.feature_map)
        return *gradients, None, None, None


_apply: Callable[..., Any] = _LinearAttention.apply  # torch gives it no type


def _gradients(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    S: Tensor | None,
    z: Tensor | None,
    o: Tensor | None,
    denominators: Tensor | None,
    g: Tensor,
    final_dS: Tensor | None,
    final_dz: Tensor | None,
    feature_map: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """Returns the gradients of q, k, v, S and z from those of o and of the final state."""
    B, T, H, K = q.shape
    V = v.shape[3]
    segments = _segments(q, v)
    cut = (T, H, segments.length, segments.number)
    strides = (strides_of(q), strides_of(k), strides_of(v), strides_of(g))
    delta = None if o is None else _dot_rows(g, o)
    dq, dk, dv = q.new_empty(q.shape), q.new_empty(k.shape), q.new_empty(v.shape)
    dS, dz = (None, None) if S is None or z is None else (torch.empty_like(S), torch.empty_like(z))

    tile = _tiles(q, V, K)
    slices = triton.cdiv(K, tile.outer)
    grid = (B * H * segments.number * slices,)
    constants: dict[str, Any] = {
        "K": K, "V": V, "FEATURE_MAP": feature_map,
        "CHUNK": tile.chunk, "BLOCK_K": tile.outer, "BLOCK_V": tile.inner, **launch_settings(q, tile),
    }  # fmt: skip
    states, normalizers = _states(k, v, S, z, segments, feature_map)
    backward_kernels.query_gradient[grid](
        q, k, v, g, denominators, delta, dq, states, normalizers, *strides, *cut, slices, **constants
    )
    del states, normalizers
    adjoints, z_adjoints = _adjoints(q, g, denominators, delta, final_dS, final_dz, segments, feature_map)
    backward_kernels.key_gradient[grid](
        q, k, v, g, denominators, delta, dk, dz, adjoints, z_adjoints, *strides, *cut, slices, **constants
    )
    tile = _tiles(q, K, V)
    slices = triton.cdiv(V, tile.outer)
    backward_kernels.value_gradient[(B * H * segments.number * slices,)](
        q, k, g, denominators, dv, dS, adjoints, strides_of(q), strides_of(k), strides_of(g), *cut, slices,
        K=K, V=V, FEATURE_MAP=feature_map,
        CHUNK=tile.chunk, BLOCK_K=tile.inner, BLOCK_V=tile.outer, **launch_settings(q, tile),
    )  # fmt: skip
    return dq, dk, dv, dS, dz


def _states(
    k: Tensor, v: Tensor, S: Tensor | None, z: Tensor | None, segments: _Segments, feature_map: str
) -> tuple[Tensor | None, Tensor | None]:
    """Returns states [B, H, segments, K, V] and normalisers at the start of segments, or None for zeros."""
    if segments.number == 1:
        return S, z
    B, T, H, K = k.shape
    V = v.shape[3]
    states = k.new_empty(B, H, segments.number, K, V, dtype=torch.float32)
    normalizers = k.new_empty(B, H, segments.number, K, dtype=torch.float32)
    tile = _tiles(k, K, V)
    slices = triton.cdiv(V, tile.outer)
    state_kernels.segment_states[(B * H * segments.number * slices,)](
        k, v, states, normalizers,
        strides_of(k), strides_of(v), T, H, segments.length, segments.number, slices,
        K=K, V=V, FEATURE_MAP=feature_map,
        CHUNK=tile.chunk, BLOCK_K=tile.inner, BLOCK_V=tile.outer, **launch_settings(k, tile),
    )  # fmt: skip
    _scan(states, S, segments, reverse=False)
    _scan(normalizers, z, segments, reverse=False)
    return states, normalizers


def _adjoints(
    q: Tensor,
    g: Tensor,
    denominators: Tensor | None,
    delta: Tensor | None,
    final_dS: Tensor | None,
    final_dz: Tensor | None,
    segments: _Segments,
    feature_map: str,
) -> tuple[Tensor | None, Tensor | None]:
    """Returns the gradients of the state [B, H, segments, K, V] and normaliser at the end of each segment."""
    B, T, H, K = q.shape
    V = g.shape[3]
    if final_dS is not None or final_dz is not None:
        final_dS = g.new_zeros(B, H, K, V, dtype=torch.float32) if final_dS is None else final_dS.contiguous()
        final_dz = g.new_zeros(B, H, K, dtype=torch.float32) if final_dz is None else final_dz.contiguous()
    if segments.number == 1:
        return final_dS, final_dz
    adjoints = q.new_empty(B, H, segments.number, K, V, dtype=torch.float32)
    z_adjoints = q.new_empty(B, H, segments.number, K, dtype=torch.float32)
    tile = _tiles(q, K, V)
    slices = triton.cdiv(V, tile.outer)
    backward_kernels.segment_adjoints[(B * H * segments.number * slices,)](
        q, g, denominators, delta, adjoints, z_adjoints,
        strides_of(q), strides_of(g), T, H, segments.length, segments.number, slices,
        K=K, V=V, FEATURE_MAP=feature_map,
        CHUNK=tile.chunk, BLOCK_K=tile.inner, BLOCK_V=tile.outer, **launch_settings(q, tile),
    )  # fmt: skip
    _scan(adjoints, final_dS, segments, reverse=True)
    _scan(z_adjoints, final_dz, segments, reverse=True)
    return adjoints, z_adjoints


def _scan(sums: Tensor, initial: Tensor | None, segments: _Segments, *, reverse: bool) -> None:
    """Replaces each segment's sum [B, H, segments, ...] by `initial` and all sums before (after) it."""
    size, block = sums[0, 0, 0].numel(), 1024
    grid = (sums.shape[0] * sums.shape[1] * triton.cdiv(size, block),)
    state_kernels.scan_segments[grid](
        sums, initial, segments.number, SIZE=size, BLOCK=block, REVERSE=reverse, num_warps=4
    )


def _dot_rows(x: Tensor, y: Tensor) -> Tensor:
    """Returns the products x_t . y_t [B, H, T] in float32 of x and y [B, T, H, V]."""
    B, T, H, V = x.shape
    products, rows = x.new_empty(B, H, T, dtype=torch.float32), 32
    backward_kernels.dot_rows[(B * H * triton.cdiv(T, rows),)](
        x, y, products, strides_of(x), strides_of(y), T, H,
        V=V, ROWS=rows, BLOCK_V=triton.next_power_of_2(V), num_warps=4,
    )  # fmt: skip
    return products


def _segments(q: Tensor, v: Tensor) -> _Segments:
    """Returns how to cut the sequence for the device of q."""
    B, T, H, K = q.shape
    tile = _tiles(q, K, v.shape[3])
    programs = B * H * triton.cdiv(v.shape[3], tile.outer)
    processors = torch.cuda.get_device_properties(q.device).multi_processor_count if q.is_cuda else 1
    length = segment_length(T, programs, processors)
    return _Segments(length, triton.cdiv(T, length))


def _tiles(x: Tensor, inner: int, outer: int) -> Tiles:
    """Returns the tiles for the dtype and device of x."""
    hopper = not x.is_cuda or torch.cuda.get_device_capability(x.device)[0] >= 9
    return tiles(inner, outer, x.dtype, hopper=hopper)


def _check(q: Tensor, k: Tensor, v: Tensor, state: State | None, feature_map: str) -> None:
    """Raises if the arguments are not what `linear_attention` allows, or not on a CUDA device."""
    if feature_map not in FEATURE_MAPS:
        raise ValueError(f"feature_map is {feature_map!r}; allowed: {', '.join(FEATURE_MAPS)}.")
    if q.ndim != 4 or q.shape != k.shape or v.ndim != 4 or v.shape[:3] != q.shape[:3]:
        given = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
        raise ValueError(f"shapes are {given}; allowed: q and k [B, T, H, K], v [B, T, H, V].")
    B, T, H, K = q.shape
    V = v.shape[3]
    if min(B, T, H) < 1 or K not in SIZES or V not in SIZES:
        allowed = f"B, T, H >= 1 and K, V from {SIZES[0]} to {SIZES[-1]}"
        raise ValueError(f"sizes are B = {B}, T = {T}, H = {H}, K = {K}, V = {V}; allowed: {allowed}.")
    if q.dtype not in DTYPES or not q.dtype == k.dtype == v.dtype:
        allowed = ", ".join(str(dtype) for dtype in DTYPES)
        given = f"q {q.dtype}, k {k.dtype}, v {v.dtype}"
        raise ValueError(f"dtypes are {given}; allowed: one of {allowed} for all.")
    tensors = (q, k, v, *(state or ()))
    if state is not None:
        S, z = state
        if S.shape != (B, H, K, V) or z.shape != (B, H, K) or not S.dtype == z.dtype == torch.float32:
            given = f"S {tuple(S.shape)} {S.dtype}, z {tuple(z.shape)} {z.dtype}"
            allowed = f"S {(B, H, K, V)} and z {(B, H, K)}, torch.float32"
            raise ValueError(f"state is {given}; allowed: {allowed}.")
    if len({x.device for x in tensors}) > 1:
        raise ValueError(f"tensors are on {[str(x.device) for x in tensors]}; allowed: one device for all.")
    if not q.is_cuda and not triton.knobs.runtime.interpret:
        raise RuntimeError(f"linear_attention needs a CUDA device; q is on {q.device}.")
