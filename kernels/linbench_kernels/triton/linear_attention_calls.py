"""Launches of the kernels of linear attention: forward, backward and decode on tensors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import triton
from torch import Tensor

from linbench_kernels.triton import linear_attention_backward as backward_kernels
from linbench_kernels.triton import linear_attention_forward as forward_kernels
from linbench_kernels.triton import linear_attention_state as state_kernels
from linbench_kernels.triton.autotune import tune
from linbench_kernels.triton.launch import (
    Plan,
    as_rows,
    device_of,
    placeholder,
    split_into_segments,
    strides_of,
)
from linbench_kernels.triton.linear_attention_plan import segment_length, tiles

DECODE_TILE = 8192  # elements of the state that a program of decode holds in registers at a time


def forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    S: Tensor | None,
    z: Tensor | None,
    cu_seqlens: Tensor | None,
    feature_map: str,
    normalize: bool,
    final: bool,
    gradient: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns o, S and z after the last step if `final`, and the denominators if a gradient needs them.

    A result that is not requested is an empty tensor.
    """
    q, k, v, S, z = as_rows(q), as_rows(k), as_rows(v), _dense(S), _dense(z)
    results = _forward_results(q, k, v, S, z, cu_seqlens, feature_map, normalize, final, gradient)
    o, final_S, final_z, denominators = results
    with torch.cuda.device_of(q):

        def run(plan: Plan) -> None:
            states, normalizers = _states(plan, k, v, S, z, feature_map)
            constants, slices = plan.value_slicing()
            forward_kernels.forward[plan.grid(slices)](
                q, k, v, o, _none_if_empty(denominators), states, normalizers,
                _none_if_empty(final_S), _none_if_empty(final_z),
                strides_of(q), strides_of(k), strides_of(v), *plan.segments, slices,
                FEATURE_MAP=feature_map, NORMALIZE=normalize, **constants,
            )  # fmt: skip

        run(tune(_plan(q, v, cu_seqlens), "linear_attention forward", "values", q, run))
    return results


def backward(
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
    cu_seqlens: Tensor | None,
    feature_map: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Returns the gradients of q, k, v, S and z from those of o, g, and of the final state.

    The gradients of S and z are empty if there is no state; o and denominators are None without the
    normaliser.
    """
    q, k, v, g, S, z = as_rows(q), as_rows(k), as_rows(v), as_rows(g), _dense(S), _dense(z)
    results = _backward_results(q, k, v, S, z)
    with torch.cuda.device_of(q):

        def run(plan: Plan) -> None:
            _launch_backward(
                plan, q, k, v, S, z, o, denominators, g, final_dS, final_dz, feature_map, *results
            )

        plan = tune(_plan(q, v, cu_seqlens), "linear_attention backward", "keys", q, run)
        run(tune(plan, "linear_attention backward", "values", q, run))
    return results


def decode(
    q: Tensor, k: Tensor, v: Tensor, S: Tensor, z: Tensor, feature_map: str, normalize: bool
) -> Tensor:
    """Returns o of one step, and updates S and z in place."""
    q, k, v = as_rows(q), as_rows(k), as_rows(v)
    (B, _, H, K), V = q.shape, v.shape[3]
    o, (block_k, block_v) = q.new_empty(v.shape), _decode_tile(K, V)
    with torch.cuda.device_of(q):
        forward_kernels.decode[(B * H,)](
            q, k, v, o, S, z, strides_of(q), strides_of(k), strides_of(v), H,
            K=K, V=V, FEATURE_MAP=feature_map, NORMALIZE=normalize,
            BLOCK_K=block_k, BLOCK_V=block_v, num_warps=8 if block_k * block_v > 4096 else 4,
        )  # fmt: skip
    return o


def attention_flops(B: int, T: int, H: int, K: int, V: int, dtype: torch.dtype, *, gradient: bool) -> int:
    """Returns the operations of the products of a forward pass and, if requested, of the gradients.

    The count is for the tiles of the current device and includes the scores of every slice.
    """
    q, v = (placeholder(B, T, H, columns, dtype=dtype) for columns in (K, V))
    plan = _plan(q, v, None)
    keys, values = plan.key_slicing(), plan.value_slicing()
    flops = plan.flops(values) + (2 * plan.flops(keys) + plan.flops(values) if gradient else 0)
    if not plan.segments.one_per_sequence:
        flops += (3 if gradient else 1) * plan.flops(values, keys=0, values=0, states=1)
    return flops


def decode_flops(B: int, H: int, K: int, V: int) -> int:
    """Returns the operations of one step: the update of the state and its product with q, padded."""
    block_k, block_v = _decode_tile(K, V)
    return int(4 * B * H * block_k * triton.cdiv(V, block_v) * block_v)


def _decode_tile(K: int, V: int) -> tuple[int, int]:
    """Returns the columns of K and V that a program of decode holds at a time."""
    block_k = triton.next_power_of_2(K)
    return block_k, min(triton.next_power_of_2(V), DECODE_TILE // block_k)


def _forward_results(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    S: Tensor | None,
    z: Tensor | None,
    cu_seqlens: Tensor | None,
    feature_map: str,
    normalize: bool,
    final: bool,
    gradient: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns uninitialised tensors for the results of `forward`."""
    del S, z, feature_map
    (B, T, H, K), V = k.shape, v.shape[3]
    sequences = B if cu_seqlens is None else cu_seqlens.shape[0] - 1
    return (
        q.new_empty(v.shape),
        q.new_empty((sequences, H, K, V) if final else 0, dtype=torch.float32),
        q.new_empty((sequences, H, K) if final else 0, dtype=torch.float32),
        q.new_empty((B, H, T) if normalize and gradient else 0, dtype=torch.float32),
    )


def _backward_results(
    q: Tensor, k: Tensor, v: Tensor, S: Tensor | None, z: Tensor | None, *_rest: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Returns uninitialised tensors for the results of `backward`."""
    dS, dz = (q.new_empty(0 if x is None else x.shape, dtype=torch.float32) for x in (S, z))
    return q.new_empty(q.shape), q.new_empty(k.shape), q.new_empty(v.shape), dS, dz


def _decode_results(q: Tensor, _k: Tensor, v: Tensor, *_rest: Any) -> Tensor:
    """Returns an uninitialised tensor for the result of `decode`."""
    return q.new_empty(v.shape)


def _register_operator(
    function: Callable[..., Any], fake: Callable[..., Any], *mutated: str
) -> Callable[..., Any]:
    """Returns a function registered as a torch operator, which torch.compile keeps in its graph."""
    name = f"linbench_kernels::triton_linear_attention_{function.__name__}"
    operator = torch.library.custom_op(name, function, mutates_args=mutated)
    operator.register_fake(fake)
    return operator


forward_operator = _register_operator(forward, _forward_results)
backward_operator = _register_operator(backward, _backward_results)
decode_operator = _register_operator(decode, _decode_results, "S", "z")


def _launch_backward(
    plan: Plan,
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
    dq: Tensor,
    dk: Tensor,
    dv: Tensor,
    dS: Tensor,
    dz: Tensor,
) -> None:
    """Writes the gradients of q, k and v, and of S and z if there is a state."""
    strides = (strides_of(q), strides_of(k), strides_of(v), strides_of(g))
    delta = None if o is None else _dot_rows(g, o)
    constants, slices = plan.key_slicing()
    states, normalizers = _states(plan, k, v, S, z, feature_map)
    backward_kernels.query_gradient[plan.grid(slices)](
        q, k, v, g, denominators, delta, dq, states, normalizers,
        *strides, *plan.segments, slices, FEATURE_MAP=feature_map, **constants,
    )  # fmt: skip
    del states, normalizers
    adjoints, z_adjoints = _adjoints(plan, q, g, denominators, delta, final_dS, final_dz, feature_map)
    backward_kernels.key_gradient[plan.grid(slices)](
        q, k, v, g, denominators, delta, dk, _none_if_empty(dz), adjoints, z_adjoints,
        *strides, *plan.segments, slices, FEATURE_MAP=feature_map, **constants,
    )  # fmt: skip
    constants, slices = plan.value_slicing()
    backward_kernels.value_gradient[plan.grid(slices)](
        q, k, g, denominators, dv, _none_if_empty(dS), adjoints,
        strides_of(q), strides_of(k), strides_of(g), *plan.segments, slices,
        FEATURE_MAP=feature_map, **constants,
    )  # fmt: skip


def _states(
    plan: Plan, k: Tensor, v: Tensor, S: Tensor | None, z: Tensor | None, feature_map: str
) -> tuple[Tensor | None, Tensor | None]:
    """Returns states [B, segments, H, K, V] and normalisers at the start of segments, or None for zeros."""
    if plan.segments.one_per_sequence:
        return S, z
    states, normalizers = _new_states(plan, k)
    constants, slices = plan.value_slicing()
    state_kernels.segment_states[plan.grid(slices)](
        k, v, states, normalizers, strides_of(k), strides_of(v), *plan.segments, slices,
        FEATURE_MAP=feature_map, **constants,
    )  # fmt: skip
    _scan(plan, states, S, reverse=False)
    _scan(plan, normalizers, z, reverse=False)
    return states, normalizers


def _adjoints(
    plan: Plan,
    q: Tensor,
    g: Tensor,
    denominators: Tensor | None,
    delta: Tensor | None,
    final_dS: Tensor | None,
    final_dz: Tensor | None,
    feature_map: str,
) -> tuple[Tensor | None, Tensor | None]:
    """Returns the gradients of the state [B, segments, H, K, V] and normaliser at the end of each segment."""
    if final_dS is not None or final_dz is not None:
        N, H = plan.segments.sequences, plan.segments.H
        new_zeros = partial(q.new_zeros, dtype=torch.float32)
        final_dS = new_zeros((N, H, plan.K, plan.V)) if final_dS is None else final_dS.contiguous()
        final_dz = new_zeros((N, H, plan.K)) if final_dz is None else final_dz.contiguous()
    if plan.segments.one_per_sequence:
        return final_dS, final_dz
    adjoints, z_adjoints = _new_states(plan, q)
    constants, slices = plan.value_slicing()
    backward_kernels.segment_adjoints[plan.grid(slices)](
        q, g, denominators, delta, adjoints, z_adjoints,
        strides_of(q), strides_of(g), *plan.segments, slices, FEATURE_MAP=feature_map, **constants,
    )  # fmt: skip
    _scan(plan, adjoints, final_dS, reverse=True)
    _scan(plan, z_adjoints, final_dz, reverse=True)
    return adjoints, z_adjoints


def _new_states(plan: Plan, x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns uninitialised states and normalisers of all segments."""
    shape = (plan.B, plan.segments.number, plan.segments.H, plan.K)
    return x.new_empty(*shape, plan.V, dtype=torch.float32), x.new_empty(shape, dtype=torch.float32)


def _scan(plan: Plan, sums: Tensor, initial: Tensor | None, *, reverse: bool) -> None:
    """Replaces each sum [B, segments, H, ...] by `initial` plus all sums before (reverse: after) it."""
    _, H, cu_seqlens, n_sequences, *lengths = plan.segments
    size, block = sums[0, 0, 0].numel(), 1024
    state_kernels.scan_segments[(n_sequences * H * triton.cdiv(size, block),)](
        sums, initial, H, cu_seqlens, *lengths, SIZE=size, BLOCK=block, REVERSE=reverse, num_warps=4
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


def _plan(q: Tensor, v: Tensor, cu_seqlens: Tensor | None) -> Plan:
    """Returns the plan of a call on the device of q; varlen sequences are split as if one had all steps."""
    (B, T, H, K), V, device = q.shape, v.shape[3], device_of(q)
    keys, values = (tiles(*sizes, q.dtype, hopper=device.hopper) for sizes in ((V, K), (K, V)))
    length = segment_length(T, B * H * triton.cdiv(V, values.outer), device.processors)
    return Plan(B, K, V, split_into_segments(q, length, cu_seqlens), keys, values, q.dtype)


def _dense(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.contiguous()


def _none_if_empty(x: Tensor) -> Tensor | None:
    """Returns the tensor, or None if it is empty."""
    return x if x.numel() else None
