"""Linear attention with decay in torch: the parallel, the chunked and the recurrent form.

    S_t = exp(g_t) S_{t-1} + k_t v_t^T        o_t = K^-1/2 S_t^T q_t

Weights are exponents of differences, exp(c_t - c_s) with c the running sum of g and s <= t, so they are at
most 1. Exponents and states are float32 (float64 for float64); products are in the dtype of the inputs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from linbench_impls.toolkit.chunks import join_chunks, split_into_chunks
from linbench_impls.toolkit.dtype import accumulation_dtype

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]
"""S [B, H, K, V]."""

CHUNK = 64


def steps(g: Tensor, tokens: int) -> Tensor:
    """Return the log-decay of every step, [B or 1, H, T]: g itself, or a view of a constant decay, [H]."""
    return g[None, :, None].expand(1, -1, tokens) if g.dim() == 1 else g


def weights(g: Tensor) -> Tensor:
    """Return exp(g_{s+1} + ... + g_t) for s <= t, else 0, [..., T, T] for g [..., T]."""
    import torch

    c = g.cumsum(-1)
    size = g.shape[-1]
    future = torch.ones(size, size, dtype=torch.bool, device=g.device).triu(1)
    gaps = c[..., :, None] - c[..., None, :]
    return gaps.masked_fill(future, -math.inf).exp()


def parallel(q: Tensor, k: Tensor, v: Tensor, g: Tensor, state: State | None) -> Tensor:
    """Return (Q K^T * weights) V, [B, H, T, V]; quadratic in T.

    Args:
        q: [B, H, T, K].
        k: [B, H, T, K].
        v: [B, H, T, V].
        g: Log-decays, [B or 1, H, T], float32.
        state: S before the first token, or None for zero.
    """
    scale = 1 / math.sqrt(q.shape[-1])
    scores = (q @ k.transpose(-1, -2)) * (weights(g) * scale)  # [B, H, T, T]
    o = scores.to(v.dtype) @ v
    if state is not None:
        o = o + (scale * g.cumsum(-1).exp())[..., None] * (q.to(state[0].dtype) @ state[0])
    return o.to(v.dtype)


def last_state(k: Tensor, v: Tensor, g: Tensor, state: State | None) -> State:
    """Return S after the last token, one product over all tokens; the arguments are those of `parallel`."""
    accumulation = accumulation_dtype(k)
    c = g.cumsum(-1)
    to_end = (c[..., -1:] - c).exp()[..., None]
    S = (k * to_end).transpose(-1, -2).to(accumulation) @ v.to(accumulation)
    return (S if state is None else S + c[..., -1, None, None].exp() * state[0],)


def chunked(q: Tensor, k: Tensor, v: Tensor, g: Tensor, state: State | None) -> tuple[Tensor, State]:
    """Return output and last state in O(T) time and memory; the arguments are those of `parallel`.

    Within chunks all products are batched. States pass from chunk to chunk in a loop over `unbind`, whose
    gradient is one `stack`; with slices autograd would add a gradient of full length for each, which is
    quadratic in T.
    """
    import torch
    import torch.nn.functional as F

    tokens, accumulation, scale = q.shape[2], accumulation_dtype(q), 1 / math.sqrt(q.shape[-1])
    q, k, v = split_into_chunks((q, k, v), CHUNK)
    g = F.pad(g, (0, -tokens % CHUNK)).unflatten(2, (-1, CHUNK))  # [B or 1, H, N, C]
    c = g.cumsum(-1)
    to_end = (c[..., -1:] - c).exp()[..., None]
    updates = ((k * to_end).to(k.dtype).transpose(-1, -2) @ v).to(accumulation)  # [B, H, N, K, V]
    decays = c[..., -1, None, None].exp()  # [B or 1, H, N, 1, 1]
    S = torch.zeros_like(updates[:, :, 0]) if state is None else state[0]
    before = []
    for update, decay in zip(updates.unbind(2), decays.unbind(2), strict=True):
        before.append(S)
        S = decay * S + update
    scores = (q @ k.transpose(-1, -2)) * (weights(g) * scale)  # [B, H, N, C, C]
    o = scores.to(v.dtype) @ v
    o = o + (scale * c.exp())[..., None] * (q @ torch.stack(before, 2).to(q.dtype))
    return join_chunks(o.to(v.dtype), tokens), (S,)


def recurrent(q: Tensor, k: Tensor, v: Tensor, g: Tensor, state: State | None) -> tuple[Tensor, State]:
    """Return output [T, B, H, V] and last state, one step per token, all in float32.

    Args:
        q: [T, B, H, K].
        k: [T, B, H, K].
        v: [T, B, H, V].
        g: Log-decays, [T, B or 1, H], float32.
        state: S before the first token, or None for zero.
    """
    import torch

    accumulation, dtype = accumulation_dtype(q), v.dtype
    q, k, v = (x.to(accumulation) for x in (q, k, v))
    S = k.new_zeros(*k.shape[1:], v.shape[-1]) if state is None else state[0]
    outputs = []
    for q_t, k_t, v_t, decay in zip(q, k, v, g.exp(), strict=True):
        S = decay[..., None, None] * S + k_t[..., :, None] * v_t[..., None, :]
        outputs.append((q_t[..., None, :] @ S).squeeze(-2))
    return (torch.stack(outputs) / math.sqrt(q.shape[-1])).to(dtype), (S,)


def step(q: Tensor, k: Tensor, v: Tensor, g: Tensor, state: State) -> tuple[Tensor, State]:
    """Return one token's output and the state after it; the arguments are those of `parallel` at T = 1."""
    accumulation = accumulation_dtype(q)
    S = g[..., None].exp() * state[0] + k.to(accumulation).transpose(-1, -2) * v
    return (q.to(accumulation) @ S / math.sqrt(q.shape[-1])).to(v.dtype), (S,)
