"""Causal linear attention in Triton: forward, prefill, decode and gradients.

Source: A. Katharopoulos, A. Vyas, N. Pappas and F. Fleuret, "Transformers are RNNs: Fast Autoregressive
Transformers with Linear Attention", ICML 2020.

Design of the kernels: a chunk of C steps depends only on the state before it, so all work within a chunk
consists of matrix products, and the state [K, V] stays in the registers of a program: q, k and v are read
once and o is written once. If batch and heads are too small to fill the device, the sequence is split into
segments, whose states come from a first pass over k and v. The gradients are the same recurrence
(linear_attention_backward) and recompute the states: the backward pass saves only q, k, v, o and one float32
number per row.
"""

from collections.abc import Callable
from typing import Any

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from linbench_kernels.triton import linear_attention_calls as calls
from linbench_kernels.triton.launch import check_varlen

FEATURE_MAPS = ("elu1", "relu", "identity")
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
SIZES = range(16, 257)  # of K and of V
INTERPRETED: bool = triton.knobs.runtime.interpret  # fixed when the kernels are decorated

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
    cu_seqlens: Tensor | None = None,
) -> Tensor:
    """Returns o [B, T, H, V], differentiable in q, k, v and the initial state.

    With phi the feature map (elu1: elu(x) + 1; relu; identity), S_0 = S or 0 and z_0 = z or 0:

        S_t = S_{t-1} + phi(k_t) v_t^T        z_t = z_{t-1} + phi(k_t)
        o_t = S_t^T phi(q_t) / (phi(q_t) . z_t + 1e-6)        (normalize=False: no denominator)

    Products are in the dtype of q, k and v (float32: IEEE, not TF32) with float32 accumulation; states and
    denominators are float32.

    Cost per step and head, in bytes (item size e) and FLOP with chunks of C: forward 2e (K + V) and
    2C (K + V) + 4KV; backward, if each tensor is loaded once from device memory, e (4K + 4V) and three times
    the FLOP (each gradient reads its inputs again, from L2 if they fit). Segments, for small B H, read k and
    v once more.

    Args:
        q: Queries [B, T, H, K], float32, float16 or bfloat16; any T >= 1; 16 <= K, V <= 256.
        k: Keys [B, T, H, K], with the dtype and device of q.
        v: Values [B, T, H, V], with the dtype and device of q.
        feature_map: "elu1", "relu" or "identity".
        normalize: Whether to divide by the denominator.
        state: S [B, H, K, V] and z [B, H, K] before the first step, float32; or None for zeros.
        cu_seqlens: [N + 1], int32, for N varlen sequences in a row with B = 1: sequence i has the steps
            cu_seqlens[i] to cu_seqlens[i + 1], and the states are [N, H, K, V] and [N, H, K]. It must start
            with 0, end with T and not decrease; its values are not checked, since only the device reads them.

    Raises:
        ValueError: A shape, dtype, device or feature map is not supported.
        RuntimeError: The tensors are not on a CUDA device.
    """
    _check(q, k, v, state, feature_map, cu_seqlens)
    S, z = state if state is not None else (None, None)
    o: Tensor = _apply(q, k, v, S, z, cu_seqlens, feature_map, normalize, False)[0]
    return o


def linear_attention_prefill(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    feature_map: str = "elu1",
    normalize: bool = True,
    state: State | None = None,
    cu_seqlens: Tensor | None = None,
) -> tuple[Tensor, State]:
    """Returns o as `linear_attention` does, and the state (S, z) after the last step, both differentiable.

    The equation, arguments, errors and cost are those of `linear_attention`, plus 4 K (V + 1) bytes per head.
    """
    _check(q, k, v, state, feature_map, cu_seqlens)
    S, z = state if state is not None else (None, None)
    o, S, z = _apply(q, k, v, S, z, cu_seqlens, feature_map, normalize, True)
    return o, (S, z)


def linear_attention_decode(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    state: State | None = None,
    *,
    feature_map: str = "elu1",
    normalize: bool = True,
) -> tuple[Tensor, State]:
    """Returns o [B, 1, H, V] of one step and the state, which it updates in place; not differentiable.

    The equation is that of `linear_attention` with T = 1, in float32 except for q, k, v and o themselves. A
    step reads the state once and writes it once, 8 K (V + 1) bytes and 4 K V FLOP per head: it is
    memory-bound, and tensor cores would not help. It is one kernel that allocates only o, so a CUDA graph can
    capture it.

    Args:
        q: Query [B, 1, H, K], float32, float16 or bfloat16.
        k: Key [B, 1, H, K], with the dtype and device of q.
        v: Value [B, 1, H, V], with the dtype and device of q.
        state: S [B, H, K, V] and z [B, H, K] before the step, contiguous float32, updated in place; None for
            zeros and a new state.
        feature_map: "elu1", "relu" or "identity".
        normalize: Whether to divide by the denominator.

    Raises:
        ValueError: A shape, dtype, device or feature map is not supported, T > 1, or the state is not
            contiguous.
        RuntimeError: The tensors are not on a CUDA device, or an input requires a gradient.
    """
    _check(q, k, v, state, feature_map)
    B, T, H, K = q.shape
    if T != 1:
        raise ValueError(f"decode supports only T = 1; q has T = {T}: use linear_attention_prefill.")
    if state is None:
        S, z = (
            q.new_zeros(B, H, K, v.shape[3], dtype=torch.float32),
            q.new_zeros(B, H, K, dtype=torch.float32),
        )
    else:
        S, z = state
    if not (S.is_contiguous() and z.is_contiguous()):
        strides = f"S {S.stride()}, z {z.stride()}"
        raise ValueError(f"strides of the state are {strides}; allowed: contiguous, since decode updates it.")
    if torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v, S, z)):
        raise RuntimeError("linear_attention_decode has no gradient; call it under torch.no_grad().")
    run = calls.decode_operator if torch.compiler.is_compiling() else calls.decode
    o: Tensor = run(q, k, v, S, z, feature_map, normalize)
    return o, (S, z)


class _LinearAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        S: Tensor | None,
        z: Tensor | None,
        cu_seqlens: Tensor | None,
        feature_map: str,
        normalize: bool,
        final: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        run = calls.forward_operator if torch.compiler.is_compiling() else calls.forward
        gradient = any(ctx.needs_input_grad)
        o, final_S, final_z, denominators = run(
            q, k, v, S, z, cu_seqlens, feature_map, normalize, final, gradient
        )
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(q, k, v, S, z, cu_seqlens, *((o, denominators) if normalize else (None, None)))
        ctx.options = feature_map, final
        return o, final_S, final_z

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, g: Tensor | None, final_dS: Tensor | None, final_dz: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        q, k, v, S, z, cu_seqlens, o, denominators = ctx.saved_tensors
        feature_map, final = ctx.options
        run = calls.backward_operator if torch.compiler.is_compiling() else calls.backward
        g = torch.zeros_like(v) if g is None else g
        if not final:  # torch.compile passes zeros as the gradients of results that were not requested
            final_dS = final_dz = None
        dq, dk, dv, dS, dz = run(
            q, k, v, S, z, o, denominators, g, final_dS, final_dz, cu_seqlens, feature_map
        )
        return dq, dk, dv, *((None, None) if S is None else (dS, dz)), None, None, None, None


_apply: Callable[..., Any] = _LinearAttention.apply  # torch does not annotate it


def _check(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    state: State | None,
    feature_map: str,
    cu_seqlens: Tensor | None = None,
) -> None:
    """Raises if `linear_attention` does not support the arguments, or they are not on a CUDA device."""
    if feature_map not in FEATURE_MAPS:
        raise ValueError(f"feature_map is {feature_map!r}; allowed: {', '.join(FEATURE_MAPS)}.")
    if q.ndim != 4 or q.shape != k.shape or v.ndim != 4 or v.shape[:3] != q.shape[:3]:
        shapes = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
        raise ValueError(f"shapes are {shapes}; allowed: q and k [B, T, H, K], v [B, T, H, V].")
    B, T, H, K = q.shape
    V = v.shape[3]
    if min(B, T, H) < 1 or K not in SIZES or V not in SIZES:
        allowed = f"B, T, H >= 1 and K, V from {SIZES[0]} to {SIZES[-1]}"
        raise ValueError(f"sizes are B = {B}, T = {T}, H = {H}, K = {K}, V = {V}; allowed: {allowed}.")
    if q.dtype not in DTYPES or not q.dtype == k.dtype == v.dtype:
        allowed = ", ".join(str(dtype) for dtype in DTYPES)
        dtypes = f"q {q.dtype}, k {k.dtype}, v {v.dtype}"
        raise ValueError(f"dtypes are {dtypes}; allowed: one of {allowed} for all.")
    N = check_varlen(q, cu_seqlens)
    tensors = (q, k, v, *(state or ()), *(() if cu_seqlens is None else (cu_seqlens,)))
    if state is not None:
        S, z = state
        if S.shape != (N, H, K, V) or z.shape != (N, H, K) or not S.dtype == z.dtype == torch.float32:
            actual = f"S {tuple(S.shape)} {S.dtype}, z {tuple(z.shape)} {z.dtype}"
            allowed = f"S {(N, H, K, V)} and z {(N, H, K)}, torch.float32"
            raise ValueError(f"state is {actual}; allowed: {allowed}.")
    if len({x.device for x in tensors}) > 1:
        raise ValueError(f"tensors are on {[str(x.device) for x in tensors]}; allowed: one device for all.")
    if not q.is_cuda and not INTERPRETED:
        raise RuntimeError(f"linear_attention needs a CUDA device; q is on {q.device}.")
