"""Causal linear attention with decay in Triton: forward, prefill, decode and gradients.

Retention, lightning attention and the SSD of Mamba-2 (simple GLA) are instances that differ in the source of
the decay. Sources: Sun et al., "Retentive Network", 2023; Qin et al., "TransNormerLLM", 2023; T. Dao and
A. Gu, "Transformers are SSMs", ICML 2024.

The kernels have the design of linear_attention: one pass over the sequence with the state in registers, or
segments if batch and heads are too small. The decay of a chunk is a factor of its products: see decayed_tile.
The backward pass saves only q, k, v and the log-decays, and recomputes the states.
"""

from collections.abc import Callable
from typing import Any

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from linbench_kernels.triton import decayed_attention_calls as calls
from linbench_kernels.triton.launch import check_varlen

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
SIZES = range(16, 257)  # of K and of V
INTERPRETED: bool = triton.knobs.runtime.interpret  # fixed when the kernels are decorated


def decayed_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    *,
    scale: float | None = None,
    state: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
) -> Tensor:
    """Returns o [B, T, H, V], differentiable in q, k, v, the log-decays and the initial state.

    With g the log-decay, one per head (constant) or one per head and step (a gate), and S_0 = state or 0:

        S_t = exp(g_t) S_{t-1} + k_t v_t^T        o_t = scale S_t^T q_t

    Products are in the dtype of q, k and v (float32: IEEE, not TF32) with float32 accumulation; decays,
    states and sums over chunks are float32.

    Args:
        q: Queries [B, T, H, K], float32, float16 or bfloat16; any T >= 1; 16 <= K, V <= 256.
        k: Keys [B, T, H, K], with the dtype and device of q.
        v: Values [B, T, H, V], with the dtype and device of q.
        log_decay: [H] or [B, T, H], float32, natural logarithms, at most 0.
        scale: Scale of the outputs; K^-1/2 if None.
        state: S [B, H, K, V] before the first step, float32; or None for zeros.
        cu_seqlens: [N + 1], int32, for N varlen sequences in a row with B = 1: sequence i has the steps
            cu_seqlens[i] to cu_seqlens[i + 1], and the states are [N, H, K, V]. It must start with 0, end
            with T and not decrease; its values are not checked, since only the device reads them.

    Raises:
        ValueError: A shape, dtype or device is not supported.
        RuntimeError: The tensors are not on a CUDA device.
    """
    _check(q, k, v, log_decay, state, cu_seqlens)
    o: Tensor = _apply(q, k, v, log_decay, state, cu_seqlens, _scale(scale, q), False)[0]
    return o


def decayed_attention_prefill(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    *,
    scale: float | None = None,
    state: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Returns o as `decayed_attention` does, and S [B, H, K, V] after the last step, both differentiable."""
    _check(q, k, v, log_decay, state, cu_seqlens)
    o, S = _apply(q, k, v, log_decay, state, cu_seqlens, _scale(scale, q), True)
    return o, S


def decayed_attention_decode(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    state: Tensor | None = None,
    *,
    scale: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Returns o [B, 1, H, V] of one step and the state, which it updates in place; not differentiable.

    S <- exp(g) S + k v^T, o = scale S^T q, in one kernel, in float32 except for q, k, v and o themselves. The
    state is read once and written once, 8 K V bytes per head. Only o is allocated, so a CUDA graph can
    capture the kernel.

    Args:
        q: Query [B, 1, H, K], float32, float16 or bfloat16.
        k: Key [B, 1, H, K], with the dtype and device of q.
        v: Value [B, 1, H, V], with the dtype and device of q.
        log_decay: [H] or [B, 1, H], float32.
        state: S [B, H, K, V] before the step, contiguous float32, updated in place; None for zeros and a new
            state.
        scale: Scale of the outputs; K^-1/2 if None.

    Raises:
        ValueError: A shape, dtype or device is not supported, T > 1, or the state is not contiguous.
        RuntimeError: The tensors are not on a CUDA device, or an input requires a gradient.
    """
    _check(q, k, v, log_decay, state)
    B, T, H, K = q.shape
    if T != 1:
        raise ValueError(f"decode supports only T = 1; q has T = {T}: use decayed_attention_prefill.")
    S = q.new_zeros(B, H, K, v.shape[3], dtype=torch.float32) if state is None else state
    if not S.is_contiguous():
        raise ValueError(f"state has strides {S.stride()}; allowed: contiguous, since decode updates it.")
    if torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v, log_decay, S)):
        raise RuntimeError("decayed_attention_decode has no gradient; call it under torch.no_grad().")
    run = calls.decode_operator if torch.compiler.is_compiling() else calls.decode
    o: Tensor = run(q, k, v, log_decay, S, _scale(scale, q))
    return o, S


class _DecayedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        log_decay: Tensor,
        S: Tensor | None,
        cu_seqlens: Tensor | None,
        scale: float,
        final: bool,
    ) -> tuple[Tensor, Tensor]:
        run = calls.forward_operator if torch.compiler.is_compiling() else calls.forward
        o, final_S = run(q, k, v, log_decay, S, cu_seqlens, scale, final)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(q, k, v, log_decay, S, cu_seqlens)
        ctx.options = scale, final
        return o, final_S

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, u: Tensor | None, final_dS: Tensor | None) -> tuple[Tensor | None, ...]:
        q, k, v, log_decay, S, cu_seqlens = ctx.saved_tensors
        scale, final = ctx.options
        run = calls.backward_operator if torch.compiler.is_compiling() else calls.backward
        u = torch.zeros_like(v) if u is None else u
        needs_dg = ctx.needs_input_grad[3]
        if not final:  # torch.compile passes zeros as the gradients of results that were not requested
            final_dS = None
        dq, dk, dv, dg, dS = run(q, k, v, log_decay, S, u, final_dS, cu_seqlens, scale, needs_dg)
        return dq, dk, dv, dg if needs_dg else None, None if S is None else dS, None, None, None


_apply: Callable[..., Any] = _DecayedAttention.apply  # torch does not annotate it


def _scale(scale: float | None, q: Tensor) -> float:
    return float(q.shape[3] ** -0.5 if scale is None else scale)


def _check(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    state: Tensor | None,
    cu_seqlens: Tensor | None = None,
) -> None:
    """Raises if `decayed_attention` does not support the arguments, or they are not on a CUDA device."""
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
    if log_decay.shape not in ((H,), (B, T, H)) or log_decay.dtype != torch.float32:
        actual = f"{tuple(log_decay.shape)} {log_decay.dtype}"
        raise ValueError(f"log_decay is {actual}; allowed: {(H,)} or {(B, T, H)}, torch.float32.")
    N = check_varlen(q, cu_seqlens)
    if state is not None and (state.shape != (N, H, K, V) or state.dtype != torch.float32):
        actual = f"{tuple(state.shape)} {state.dtype}"
        raise ValueError(f"state is {actual}; allowed: {(N, H, K, V)}, torch.float32.")
    tensors = [x for x in (q, k, v, log_decay, state, cu_seqlens) if x is not None]
    if len({x.device for x in tensors}) > 1:
        raise ValueError(f"tensors are on {[str(x.device) for x in tensors]}; allowed: one device for all.")
    if not q.is_cuda and not INTERPRETED:
        raise RuntimeError(f"decayed_attention needs a CUDA device; q is on {q.device}.")
