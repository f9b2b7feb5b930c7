"""Causal linear attention with decay in Triton: forward, prefill, decode and gradients.

Retention, lightning attention and the SSD of Mamba-2 (simple GLA) are this, and differ in where the decay
comes from. Sources: Sun et al., "Retentive Network", 2023; Qin et al., "TransNormerLLM", 2023; T. Dao and
A. Gu, "Transformers are SSMs", ICML 2024.

The kernels are those of linear_attention, one pass over the sequence with the state in registers, or segments
where batch and heads are too few, with the decay of a chunk worked into its products: see decayed_tile. Only
q, k, v and the log-decays are kept for the gradients, which recompute the states.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from linbench_kernels.triton import decayed_attention_backward as backward_kernels
from linbench_kernels.triton import decayed_attention_forward as forward_kernels
from linbench_kernels.triton import decayed_attention_state as state_kernels
from linbench_kernels.triton.launch import as_rows, launch_settings, strides_of
from linbench_kernels.triton.linear_attention_plan import Tiles, segment_length, tiles

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
SIZES = range(16, 257)  # of K and of V
DRIFT = 256  # steps after which the gradient of gates is summed afresh; a multiple of every chunk


def decayed_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    *,
    scale: float | None = None,
    state: Tensor | None = None,
) -> Tensor:
    """Returns o [B, T, H, V], differentiable in q, k, v, a gate and the initial state.

    With g the log-decay, one a head (constant) or one a head and step (a gate), and S_0 = state or 0:

        S_t = exp(g_t) S_{t-1} + k_t v_t^T        o_t = scale S_t^T q_t

    Products are in the dtype of q, k and v (float32: IEEE, not TF32) with float32 accumulation; decays,
    states and sums over chunks are float32.

    Args:
        q: [B, T, H, K], float32, float16 or bfloat16; any T >= 1; 16 <= K, V <= 256.
        k: [B, T, H, K], of the dtype and device of q.
        v: [B, T, H, V], likewise.
        log_decay: [H] or [B, T, H], float32, natural logarithms, at most 0. [H] is a constant, and has no
            gradient.
        scale: K^-1/2 if None.
        state: S [B, H, K, V] before the first step, float32; or None for zeros.

    Raises:
        ValueError: a shape, dtype or device that is not allowed, or [H] log-decays that require a gradient.
        RuntimeError: the tensors are not on a CUDA device.
    """
    _check(q, k, v, log_decay, state)
    o: Tensor = _apply(q, k, v, log_decay, state, _scale(scale, q), False)[0]
    return o


def decayed_attention_prefill(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    *,
    scale: float | None = None,
    state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Returns o as `decayed_attention` does, and S [B, H, K, V] after the last step, differentiable alike."""
    _check(q, k, v, log_decay, state)
    o, S = _apply(q, k, v, log_decay, state, _scale(scale, q), True)
    return o, S


def decayed_attention_decode(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor, *, scale: float | None = None
) -> Tensor:
    """Returns o [B, 1, H, V] of one step, and advances the state in place; not differentiable.

    One kernel, all in float32 but for q, k, v and o themselves: the state is read once and written once,
    8 K V bytes a head, and nothing but o is allocated. It can be captured in a CUDA graph.

    Args:
        q: [B, 1, H, K], float32, float16 or bfloat16.
        k: [B, 1, H, K], of the dtype and device of q.
        v: [B, 1, H, V], likewise.
        log_decay: [H] or [B, 1, H], float32.
        state: S [B, H, K, V] before the step, contiguous float32; after it on return.
        scale: K^-1/2 if None.

    Raises:
        ValueError: a shape, dtype or device that is not allowed, T > 1, or a state that is not contiguous.
        RuntimeError: the tensors are not on a CUDA device, or a gradient would be lost.
    """
    _check(q, k, v, log_decay, state)
    if q.shape[1] != 1:
        raise ValueError(f"decode takes T = 1; q has T = {q.shape[1]}: use decayed_attention_prefill.")
    if not state.is_contiguous():
        raise ValueError(f"state has strides {state.stride()}; allowed: contiguous, since it is updated.")
    if torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v, log_decay, state)):
        raise RuntimeError("decayed_attention_decode has no gradient; call it under torch.no_grad().")
    q, k, v = as_rows(q), as_rows(k), as_rows(v)
    B, _, H, K = q.shape
    V = v.shape[3]
    o, block_v = q.new_empty(v.shape), 32
    with torch.cuda.device_of(q):
        forward_kernels.decode[(B * H * triton.cdiv(V, block_v),)](
            q, k, v, log_decay, o, state,
            strides_of(q), strides_of(k), strides_of(v), _decay_strides(log_decay), _scale(scale, q), H,
            K=K, V=V, BLOCK_K=triton.next_power_of_2(K), BLOCK_V=block_v, num_warps=4,
        )  # fmt: skip
    return o


class _Plan(NamedTuple):
    """What the launches of one call share."""

    B: int
    T: int
    H: int
    K: int
    V: int
    gated: bool
    scale: float
    segment_length: int
    n_segments: int
    dtype: torch.dtype
    hopper: bool

    @property
    def cut(self) -> tuple[int, int, int, int]:
        """The arguments T, H, segment_length and n_segments of a kernel."""
        return self.T, self.H, self.segment_length, self.n_segments

    def grid(self, slices: int) -> tuple[int]:
        """Returns the programs of a pass over all segments."""
        return (self.B * self.H * self.n_segments * slices,)

    def over_values(self, x: Tensor) -> tuple[dict[str, Any], int]:
        """Returns the constants of a kernel whose programs own slices of V, and the number of slices."""
        tile = tiles(self.K, self.V, self.dtype, hopper=self.hopper)
        return self._constants(x, tile, tile.inner, tile.outer), triton.cdiv(self.V, tile.outer)

    def over_keys(self, x: Tensor) -> tuple[dict[str, Any], int]:
        """Returns the constants of a kernel whose programs own slices of K, and the number of slices.

        Slices are of at most 32: with the sums for the gradient of gates, 64 spill registers.
        """
        tile = tiles(self.V, self.K, self.dtype, hopper=self.hopper)
        tile = tile._replace(outer=min(tile.outer, 32))
        return self._constants(x, tile, tile.outer, tile.inner), triton.cdiv(self.K, tile.outer)

    def _constants(self, x: Tensor, tile: Tiles, block_k: int, block_v: int) -> dict[str, Any]:
        return {
            "K": self.K, "V": self.V,
            "CHUNK": tile.chunk, "BLOCK_K": block_k, "BLOCK_V": block_v, **launch_settings(x, tile),
        }  # fmt: skip


class _DecayedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        log_decay: Tensor,
        S: Tensor | None,
        scale: float,
        final: bool,
    ) -> tuple[Tensor, Tensor | None]:
        q, k, v = as_rows(q), as_rows(k), as_rows(v)
        S = None if S is None else S.contiguous()
        o = q.new_empty(v.shape)
        plan = _plan(q, v, log_decay, scale)
        final_S = _new_state(plan, q) if final else None
        with torch.cuda.device_of(q):
            states = _states(plan, k, v, log_decay, S)
            constants, slices = plan.over_values(q)
            forward_kernels.forward[plan.grid(slices)](
                q, k, v, log_decay, o, states, final_S,
                strides_of(q), strides_of(k), strides_of(v), _decay_strides(log_decay), scale,
                *plan.cut, slices, **constants,
            )  # fmt: skip
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(q, k, v, log_decay, S)
        ctx.plan = plan
        return o, final_S

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, u: Tensor | None, final_dS: Tensor | None) -> tuple[Tensor | None, ...]:
        q, k, v, log_decay, S = ctx.saved_tensors
        u = q.new_zeros(v.shape) if u is None else as_rows(u)
        final_dS = None if final_dS is None else final_dS.contiguous()
        with torch.cuda.device_of(q):
            gradients = _gradients(ctx.plan, q, k, v, log_decay, S, u, final_dS)
        return *gradients, None, None


_apply: Callable[..., Any] = _DecayedAttention.apply  # torch gives it no type


def _gradients(
    plan: _Plan,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    S: Tensor | None,
    u: Tensor,
    final_dS: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """Returns the gradients of q, k, v, a gate and S from those of o and of the final state."""
    dq, dk, dv = q.new_empty(q.shape), q.new_empty(k.shape), q.new_empty(v.shape)
    dS = None if S is None else torch.empty_like(S)
    decay = _decay_strides(log_decay)
    strides = (strides_of(q), strides_of(k), strides_of(v), strides_of(u), decay)
    constants, slices = plan.over_keys(q)
    constants |= {"GATED": plan.gated, "DRIFT": DRIFT}
    flows = borders = crossings = None
    if plan.gated:
        n_borders = triton.cdiv(plan.T, DRIFT)
        flows = _new(q, slices, plan.B, plan.H, plan.T)
        borders = _new(q, plan.B, plan.H, n_borders, plan.K, plan.V)
        crossings = _new(q, slices, plan.B, plan.H, n_borders)

    states = _states(plan, k, v, log_decay, S)
    backward_kernels.query_gradient[plan.grid(slices)](
        q, k, v, u, log_decay, dq, flows, borders, states, *strides, plan.scale, plan.B, *plan.cut, slices,
        **constants,
    )  # fmt: skip
    del states
    adjoints = _adjoints(plan, q, u, log_decay, final_dS)
    backward_kernels.key_gradient[plan.grid(slices)](
        q, k, v, u, log_decay, dk, flows, borders, crossings, adjoints,
        *strides, plan.scale, plan.B, *plan.cut, slices, **constants,
    )  # fmt: skip
    dg = None
    if flows is not None and crossings is not None:
        dg = _new(q, plan.B, plan.T, plan.H)
        backward_kernels.gate_gradient[(plan.B * plan.H * crossings.shape[3],)](
            flows, crossings, dg, plan.B, plan.T, plan.H, slices, DRIFT=DRIFT, num_warps=4
        )
    del flows, borders, crossings
    constants, slices = plan.over_values(q)
    backward_kernels.value_gradient[plan.grid(slices)](
        q, k, u, log_decay, dv, dS, adjoints, strides_of(q), strides_of(k), strides_of(u), decay, plan.scale,
        *plan.cut, slices, **constants,
    )  # fmt: skip
    return dq, dk, dv, dg, dS


def _states(plan: _Plan, k: Tensor, v: Tensor, log_decay: Tensor, S: Tensor | None) -> Tensor | None:
    """Returns the states at the start of segments, [B, H, segments, K, V], or None for zeros."""
    if plan.n_segments == 1:
        return S
    return _segment_sums(plan, k, v, log_decay, S, scale=1.0, reverse=False)


def _adjoints(plan: _Plan, q: Tensor, u: Tensor, log_decay: Tensor, final_dS: Tensor | None) -> Tensor | None:
    """Returns the gradients of the states at the end of segments, of the shape of `_states`, or None."""
    if plan.n_segments == 1:
        return final_dS
    return _segment_sums(plan, q, u, log_decay, final_dS, scale=plan.scale, reverse=True)


def _segment_sums(
    plan: _Plan,
    x: Tensor,
    y: Tensor,
    log_decay: Tensor,
    initial: Tensor | None,
    *,
    scale: float,
    reverse: bool,
) -> Tensor:
    """Returns `initial` and the sums of x y^T over all segments before (reverse: after) each, decayed."""
    sums = _new(x, plan.B, plan.H, plan.n_segments, plan.K, plan.V)
    totals = _new(x, plan.B, plan.H, plan.n_segments)
    constants, slices = plan.over_values(x)
    state_kernels.segment_sums[plan.grid(slices)](
        x, y, log_decay, sums, totals, strides_of(x), strides_of(y), _decay_strides(log_decay), scale,
        *plan.cut, slices, REVERSE=reverse, **constants,
    )  # fmt: skip
    size, block = plan.K * plan.V, 1024
    state_kernels.scan_segments[(plan.B * plan.H * triton.cdiv(size, block),)](
        sums, totals, initial, plan.n_segments, SIZE=size, BLOCK=block, REVERSE=reverse, num_warps=4
    )
    return sums


def _plan(q: Tensor, v: Tensor, log_decay: Tensor, scale: float) -> _Plan:
    """Returns the plan of a call on the device of q; segments are a multiple of DRIFT."""
    B, T, H, K = q.shape
    V = v.shape[3]
    hopper = not q.is_cuda or torch.cuda.get_device_capability(q.device)[0] >= 9
    processors = torch.cuda.get_device_properties(q.device).multi_processor_count if q.is_cuda else 1
    programs = B * H * triton.cdiv(V, tiles(K, V, q.dtype, hopper=hopper).outer)
    length = triton.cdiv(segment_length(T, programs, processors), DRIFT) * DRIFT
    number = triton.cdiv(T, length)
    return _Plan(B, T, H, K, V, log_decay.ndim == 3, scale, length, number, q.dtype, hopper)


def _scale(scale: float | None, q: Tensor) -> float:
    return float(q.shape[3] ** -0.5 if scale is None else scale)


def _decay_strides(log_decay: Tensor) -> tuple[int, int, int]:
    """Returns the strides of batch, time and head of [H] or [B, T, H] log-decays."""
    return (0, 0, log_decay.stride(0)) if log_decay.ndim == 1 else strides_of(log_decay)


def _new(x: Tensor, *shape: int) -> Tensor:
    """Returns an empty float32 tensor on the device of x."""
    return x.new_empty(shape, dtype=torch.float32)


def _new_state(plan: _Plan, x: Tensor) -> Tensor:
    return _new(x, plan.B, plan.H, plan.K, plan.V)


def _check(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor | None) -> None:
    """Raises if the arguments are not what `decayed_attention` allows, or not on a CUDA device."""
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
    if log_decay.shape not in ((H,), (B, T, H)) or log_decay.dtype != torch.float32:
        given = f"{tuple(log_decay.shape)} {log_decay.dtype}"
        raise ValueError(f"log_decay is {given}; allowed: {(H,)} or {(B, T, H)}, torch.float32.")
    if log_decay.ndim == 1 and log_decay.requires_grad and torch.is_grad_enabled():
        raise ValueError("log_decay [H] is a constant; for its gradient expand it to [B, T, H].")
    if state is not None and (state.shape != (B, H, K, V) or state.dtype != torch.float32):
        given = f"{tuple(state.shape)} {state.dtype}"
        raise ValueError(f"state is {given}; allowed: {(B, H, K, V)}, torch.float32.")
    tensors = (q, k, v, log_decay, *(() if state is None else (state,)))
    if len({x.device for x in tensors}) > 1:
        raise ValueError(f"tensors are on {[str(x.device) for x in tensors]}; allowed: one device for all.")
    if not q.is_cuda and not triton.knobs.runtime.interpret:
        raise RuntimeError(f"decayed_attention needs a CUDA device; q is on {q.device}.")
