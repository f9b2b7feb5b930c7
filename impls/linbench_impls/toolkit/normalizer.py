"""Normalised linear attention in torch: the parallel, the chunked and the recurrent form.

    S_t = S_{t-1} + k_t v_t^T        z_t = z_{t-1} + k_t        o_t = S_t^T q_t / (q_t . z_t + 1e-6)

q and k are features, phi(q) and phi(k), of dimension M. z is the column of S for a value that is always 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench_impls.toolkit import transition
from linbench_impls.toolkit.dtype import accumulation_dtype

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]
"""S [B, H, M, V] and z [B, H, M]."""

EPSILON = 1e-6


def parallel(q: Tensor, k: Tensor, v: Tensor, normalize: bool, state: State | None = None) -> Tensor:
    """Return tril(Q K^T) V, rows normalised, [B, H, T, V]; quadratic in T.

    Scores are in the input dtype, their row sums in float32 (float64 for float64).

    Args:
        q: [B, H, T, M].
        k: [B, H, T, M].
        v: [B, H, T, V].
        normalize: Whether to divide row t by q_t . z_t + 1e-6.
        state: S and z before the first token, or None for zero.
    """
    accumulation = accumulation_dtype(q)
    scores = (q @ k.transpose(-1, -2)).tril()  # [B, H, T, T]
    o = scores @ v
    if state is not None:
        o = o + q.to(accumulation) @ state[0].to(accumulation)
    if normalize:
        rows = scores.sum(-1, keepdim=True, dtype=accumulation)
        if state is not None:
            rows = rows + q.to(accumulation) @ state[1][..., None].to(accumulation)
        o = o / (rows + EPSILON)
    return o.to(v.dtype)


def last_state(k: Tensor, v: Tensor, state: State | None = None) -> State:
    """Return S = K^T V and z = sum_t k_t after the last token, in float32 (float64 for float64).

    Args:
        k: [B, H, T, M].
        v: [B, H, T, V].
        state: S and z before the first token, or None for zero.
    """
    accumulation = accumulation_dtype(k)
    S, z = k.transpose(-1, -2).to(accumulation) @ v.to(accumulation), k.sum(-2, dtype=accumulation)
    return (S, z) if state is None else (S + state[0], z + state[1])


def chunked(q: Tensor, k: Tensor, v: Tensor, state: State | None, size: int = 0) -> tuple[Tensor, State]:
    """Return output and last state chunk by chunk, in the dtype of the inputs; O(T) time and memory.

    Args:
        q: [B, H, T, M].
        k: [B, H, T, M].
        v: [B, H, T, V].
        state: S and z before the first token, or None for zero.
        size: Tokens per chunk; 0 for the default.
    """
    no_gate = q.new_zeros(*q.shape[:3], 1)
    o, joint = transition.diagonal(q, k, append_one(v), no_gate, join_state(state), size)
    return divide_by_last(o), split_state(joint)


def recurrent(q: Tensor, k: Tensor, v: Tensor, state: State | None) -> tuple[Tensor, State]:
    """Return output and last state, one step per token; the arguments are those of `chunked`."""
    no_gate = q.new_zeros(*q.shape[:3], 1)
    q, k, v, no_gate = (x.movedim(2, 0) for x in (q, k, append_one(v), no_gate))
    o, joint = transition.recurrent(q, k, v, no_gate, join_state(state))
    return divide_by_last(o).movedim(0, 2), split_state(joint)


def append_one(v: Tensor) -> Tensor:
    """Return values with a 1 appended to each."""
    import torch.nn.functional as F

    return F.pad(v, (0, 1), value=1.0)


def divide_by_last(o: Tensor) -> Tensor:
    """Return all but the last number of each row, divided by the last number plus 1e-6."""
    return o[..., :-1] / (o[..., -1:] + EPSILON)


def join_state(state: State | None) -> Tensor | None:
    """Return S and z as one tensor, [B, H, M, V + 1]."""
    import torch

    return None if state is None else torch.cat([state[0], state[1][..., None]], -1)


def split_state(joint: Tensor) -> State:
    """Return S and z."""
    return joint[..., :-1], joint[..., -1]
