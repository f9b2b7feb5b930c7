"""Launches of the kernels with decay: forward, backward and decode, also registered as torch operators."""

from collections.abc import Callable
from typing import Any

import torch
import triton
from torch import Tensor

from linbench_kernels.triton import decayed_attention_backward as backward_kernels
from linbench_kernels.triton import decayed_attention_forward as forward_kernels
from linbench_kernels.triton import decayed_attention_state as state_kernels
from linbench_kernels.triton.autotune import tune
from linbench_kernels.triton.launch import (
    Plan,
    as_rows,
    device_of,
    max_segments,
    placeholder,
    split_into_segments,
    strides_of,
)
from linbench_kernels.triton.linear_attention_plan import segment_length, tiles

DECODE_SLICE = 32  # columns of V per program of decode
DRIFT = 256  # steps after which the sum for the gradient of decays restarts; a multiple of every chunk


def forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    S: Tensor | None,
    cu_seqlens: Tensor | None,
    scale: float,
    final: bool,
) -> tuple[Tensor, Tensor]:
    """Returns o, and S after the last step if `final`, else an empty tensor."""
    q, k, v, S = as_rows(q), as_rows(k), as_rows(v), _dense(S)
    o, final_S = _forward_results(q, k, v, log_decay, S, cu_seqlens, scale, final)
    with torch.cuda.device_of(q):

        def run(plan: Plan) -> None:
            states = _states(plan, k, v, log_decay, S)
            constants, slices = plan.value_slicing()
            forward_kernels.forward[plan.grid(slices)](
                q, k, v, log_decay, o, states, final_S if final else None,
                strides_of(q), strides_of(k), strides_of(v), _decay_strides(log_decay), scale,
                *plan.segments, slices, **constants,
            )  # fmt: skip

        run(tune(_plan(q, v, cu_seqlens), "decayed_attention forward", "values", q, run))
    return o, final_S


def backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    S: Tensor | None,
    u: Tensor,
    final_dS: Tensor | None,
    cu_seqlens: Tensor | None,
    scale: float,
    decay_gradient: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Returns the gradients of q, k, v, log_decay and S from those of o, u, and of the final state, final_dS.

    The gradient of log_decay is empty if not requested, and that of S if S is None.
    """
    q, k, v, u = as_rows(q), as_rows(k), as_rows(v), as_rows(u)
    S, final_dS = _dense(S), _dense(final_dS)
    results = _backward_results(q, k, v, log_decay, S, u, final_dS, cu_seqlens, scale, decay_gradient)
    with torch.cuda.device_of(q):

        def run(plan: Plan) -> None:
            _launch_backward(plan, q, k, v, log_decay, S, u, final_dS, scale, *results)

        plan = tune(_plan(q, v, cu_seqlens), "decayed_attention backward", "keys", q, run)
        run(tune(plan, "decayed_attention backward", "values", q, run))
    return results


def decode(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor, scale: float) -> Tensor:
    """Returns o of one step, and updates the state in place."""
    q, k, v = as_rows(q), as_rows(k), as_rows(v)
    B, _, H, K = q.shape
    V = v.shape[3]
    o = q.new_empty(v.shape)
    with torch.cuda.device_of(q):
        forward_kernels.decode[(B * H * triton.cdiv(V, DECODE_SLICE),)](
            q, k, v, log_decay, o, state,
            strides_of(q), strides_of(k), strides_of(v), _decay_strides(log_decay), scale, H,
            K=K, V=V, BLOCK_K=triton.next_power_of_2(K), BLOCK_V=DECODE_SLICE, num_warps=4,
        )  # fmt: skip
    return o


def attention_flops(
    B: int, T: int, H: int, K: int, V: int, dtype: torch.dtype, *, gradient: bool, decay_gradient: bool
) -> int:
    """Returns the operations of the products of a forward pass and, if requested, of the gradients.

    The count is for the tiles of the current device and includes the scores of every slice; the gradient of
    log-decays computes the scores of the forward pass once more. The decays themselves are not counted.
    """
    q, v = (placeholder(B, T, H, columns, dtype=dtype) for columns in (K, V))
    plan = _plan(q, v, None)
    keys, values = plan.key_slicing(), plan.value_slicing()
    flops = plan.flops(values)
    if gradient:
        flops += plan.flops(keys, keys=2 if decay_gradient else 1) + plan.flops(keys) + plan.flops(values)
    if not plan.segments.one_per_sequence:
        flops += (3 if gradient else 1) * plan.flops(values, keys=0, values=0, states=1)
    return flops


def decode_flops(B: int, H: int, K: int, V: int) -> int:
    """Returns the operations of one step: the update of the state and its product with q, padded."""
    return int(4 * B * H * triton.next_power_of_2(K) * triton.cdiv(V, DECODE_SLICE) * DECODE_SLICE)


def _forward_results(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    S: Tensor | None,
    cu_seqlens: Tensor | None,
    scale: float,
    final: bool,
) -> tuple[Tensor, Tensor]:
    """Returns uninitialised tensors for the results of `forward`."""
    del log_decay, S, scale
    B, _, H, K = k.shape
    sequences = B if cu_seqlens is None else cu_seqlens.shape[0] - 1
    return q.new_empty(v.shape), _new(q, *((sequences, H, K, v.shape[3]) if final else (0,)))


def _backward_results(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    S: Tensor | None,
    u: Tensor,
    final_dS: Tensor | None,
    cu_seqlens: Tensor | None,
    scale: float,
    decay_gradient: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Returns uninitialised tensors for the results of `backward`."""
    del u, final_dS, cu_seqlens, scale
    dg = _new(q, *(log_decay.shape if decay_gradient else (0,)))
    dS = _new(q, *((0,) if S is None else S.shape))
    return q.new_empty(q.shape), q.new_empty(k.shape), q.new_empty(v.shape), dg, dS


def _decode_results(q: Tensor, _k: Tensor, v: Tensor, *_rest: Any) -> Tensor:
    """Returns an uninitialised tensor for the result of `decode`."""
    return q.new_empty(v.shape)


def _register_operator(
    function: Callable[..., Any], fake: Callable[..., Any], *mutated: str
) -> Callable[..., Any]:
    """Returns a function registered as a torch operator, which torch.compile keeps in its graph."""
    name = f"linbench_kernels::decayed_attention_{function.__name__}"
    operator = torch.library.custom_op(name, function, mutates_args=mutated)
    operator.register_fake(fake)
    return operator


forward_operator = _register_operator(forward, _forward_results)
backward_operator = _register_operator(backward, _backward_results)
decode_operator = _register_operator(decode, _decode_results, "state")


def _launch_backward(
    plan: Plan,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    S: Tensor | None,
    u: Tensor,
    final_dS: Tensor | None,
    scale: float,
    dq: Tensor,
    dk: Tensor,
    dv: Tensor,
    dg: Tensor,
    dS: Tensor,
) -> None:
    """Writes the gradients; dg and dS are empty if not requested. For a constant decay dg is a sum."""
    T, H, cu_seqlens, n_sequences, *_ = plan.segments
    n_borders = max_segments(T, DRIFT, cu_seqlens)
    decay = _decay_strides(log_decay)
    strides = (strides_of(q), strides_of(k), strides_of(v), strides_of(u), decay)
    constants, slices = plan.key_slicing()
    constants |= {"DECAY_GRADIENT": dg.numel() > 0, "DRIFT": DRIFT}
    flows = borders = crossings = None
    if dg.numel() > 0:
        flows = _new(q, slices, plan.B, H, T)
        borders = _new(q, plan.B, H, n_borders, plan.K, plan.V)
        crossings = _new(q, slices, plan.B, H, n_borders)

    states = _states(plan, k, v, log_decay, S)
    backward_kernels.query_gradient[plan.grid(slices)](
        q, k, v, u, log_decay, dq, flows, borders, states, *strides, scale, plan.B, n_borders,
        *plan.segments, slices, **constants,
    )  # fmt: skip
    del states
    adjoints = _adjoints(plan, q, u, log_decay, final_dS, scale)
    backward_kernels.key_gradient[plan.grid(slices)](
        q, k, v, u, log_decay, dk, flows, borders, crossings, adjoints,
        *strides, scale, plan.B, n_borders, *plan.segments, slices, **constants,
    )  # fmt: skip
    if flows is not None and crossings is not None:
        steps = dg if dg.ndim == 3 else _new(q, plan.B, T, H)
        backward_kernels.decay_gradient[(plan.B * H * n_borders,)](
            flows, crossings, steps, plan.B, n_borders, T, H, cu_seqlens, n_sequences, slices,
            DRIFT=DRIFT, num_warps=4,
        )  # fmt: skip
        if dg.ndim == 1:
            torch.sum(steps, (0, 1), out=dg)
    del flows, borders, crossings
    constants, slices = plan.value_slicing()
    backward_kernels.value_gradient[plan.grid(slices)](
        q, k, u, log_decay, dv, None if S is None else dS, adjoints,
        strides_of(q), strides_of(k), strides_of(u), decay, scale, *plan.segments, slices, **constants,
    )  # fmt: skip


def _states(plan: Plan, k: Tensor, v: Tensor, log_decay: Tensor, S: Tensor | None) -> Tensor | None:
    """Returns the states at the start of segments, [B, segments, H, K, V], or None for zeros."""
    if plan.segments.one_per_sequence:
        return S
    return _segment_sums(plan, k, v, log_decay, S, scale=1.0, reverse=False)


def _adjoints(
    plan: Plan, q: Tensor, u: Tensor, log_decay: Tensor, final_dS: Tensor | None, scale: float
) -> Tensor | None:
    """Returns the gradients of the states at the end of segments, shaped like `_states`, or None."""
    if plan.segments.one_per_sequence:
        return final_dS
    return _segment_sums(plan, q, u, log_decay, final_dS, scale=scale, reverse=True)


def _segment_sums(
    plan: Plan,
    x: Tensor,
    y: Tensor,
    log_decay: Tensor,
    initial: Tensor | None,
    *,
    scale: float,
    reverse: bool,
) -> Tensor:
    """Returns the decayed sum of `initial` and x y^T over all segments before (reverse: after) each one."""
    _, H, cu_seqlens, n_sequences, *lengths = plan.segments
    sums = _new(x, plan.B, plan.segments.number, H, plan.K, plan.V)
    totals = _new(x, plan.B, plan.segments.number, H)
    constants, slices = plan.value_slicing()
    state_kernels.segment_sums[plan.grid(slices)](
        x, y, log_decay, sums, totals, strides_of(x), strides_of(y), _decay_strides(log_decay), scale,
        *plan.segments, slices, REVERSE=reverse, **constants,
    )  # fmt: skip
    size, block = plan.K * plan.V, 1024
    state_kernels.scan_segments[(n_sequences * H * triton.cdiv(size, block),)](
        sums, totals, initial, H, cu_seqlens, *lengths,
        SIZE=size, BLOCK=block, REVERSE=reverse, num_warps=4,
    )  # fmt: skip
    return sums


def _plan(q: Tensor, v: Tensor, cu_seqlens: Tensor | None) -> Plan:
    """Returns the plan of a call on the device of q; the segment length is a multiple of DRIFT.

    Slices of K have at most 32 columns: with the sums for the gradient of decays, 64 columns spill registers.
    The segment length for varlen sequences is that of one sequence with all steps.
    """
    (B, T, H, K), V, device = q.shape, v.shape[3], device_of(q)
    keys, values = (tiles(*sizes, q.dtype, hopper=device.hopper) for sizes in ((V, K), (K, V)))
    programs = B * H * triton.cdiv(V, values.outer)
    length = triton.cdiv(segment_length(T, programs, device.processors), DRIFT) * DRIFT
    keys = keys._replace(outer=min(keys.outer, 32))
    return Plan(B, K, V, split_into_segments(q, length, cu_seqlens), keys, values, q.dtype)


def _decay_strides(log_decay: Tensor) -> tuple[int, int, int]:
    """Returns the strides of batch, time and head of [H] or [B, T, H] log-decays."""
    return (0, 0, log_decay.stride(0)) if log_decay.ndim == 1 else strides_of(log_decay)


def _new(x: Tensor, *shape: int) -> Tensor:
    """Returns an empty float32 tensor on the device of x."""
    return x.new_empty(shape, dtype=torch.float32)


def _dense(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.contiguous()
