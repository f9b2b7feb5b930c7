"""Linear attention with decay in torch: the parallel, the chunked and the recurrent form.

    S_t = exp(g_t) S_{t-1} + k_t v_t^T        o_t = K^-1/2 S_t^T q_t

Weights are exponents of differences, exp(c_t - c_s) with c the running sum of g and s <= t, so they are at
most 1. Exponents and states are float32 (float64 for float64), products in the dtype of the inputs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from linbench_impls.toolkit.chunks import cut, joined
from linbench_impls.toolkit.dtype import accumulation_dtype

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]
"""S [B, H, K, V]."""

CHUNK = 64


def steps(g: Tensor, tokens: int) -> Tensor:
    """Return the log-decay of every step, [B or 1, H, T]: g itself, or a view of a constant one, [H]."""
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
    """Return S after the last token: one product over all tokens; arguments are those of `parallel`."""
    exact = accumulation_dtype(k)
    c = g.cumsum(-1)
    left = (c[..., -1:] - c).exp()[..., None]  # what is left of each token at the end
    S = (k * left).transpose(-1, -2).to(exact) @ v.to(exact)
    return (S if state is None else S + c[..., -1, None, None].exp() * state[0],)


def chunked(q: Tensor, k: Tensor, v: Tensor, g: Tensor, state: State | None) -> tuple[Tensor, State]:
    """Return output and last state in O(T) time and memory; arguments are those of `parallel`.

    Within chunks all products are batched; states pass from chunk to chunk in a loop over `unbind`, whose
    gradient is one `stack`: autograd adds a gradient of full length for every slice, which is quadratic in T.
    """
    import torch
    import torch.nn.functional as F

    tokens, exact, scale = q.shape[2], accumulation_dtype(q), 1 / math.sqrt(q.shape[-1])
    q, k, v = cut((q, k, v), CHUNK)
    g = F.pad(g, (0, -tokens % CHUNK)).unflatten(2, (-1, CHUNK))  # [B or 1, H, N, C]
    c = g.cumsum(-1)
    left = (c[..., -1:] - c).exp()[..., None]
    added = ((k * left).to(k.dtype).transpose(-1, -2) @ v).to(exact)  # [B, H, N, K, V], by each chunk
    kept = c[..., -1, None, None].exp()  # [B or 1, H, N, 1, 1]
    S = torch.zeros_like(added[:, :, 0]) if state is None else state[0]
    before = []
    for one, factor in zip(added.unbind(2), kept.unbind(2), strict=True):
        before.append(S)
        S = factor * S + one
    scores = (q @ k.transpose(-1, -2)) * (weights(g) * scale)  # [B, H, N, C, C]
    o = scores.to(v.dtype) @ v
    o = o + (scale * c.exp())[..., None] * (q @ torch.stack(before, 2).to(q.dtype))
    return joined(o.to(v.dtype), tokens), (S,)


def recurrent(q: Tensor, k: Tensor, v: Tensor, g: Tensor, state: State | None) -> tuple[Tensor, State]:
    """Return output [T, B, H, V] and last state, one step a token, all in float32.

    Args:
        q: [T, B, H, K].
        k: [T, B, H, K].
        v: [T, B, H, V].
        g: Log-decays, [T, B or 1, H], float32.
        state: S before the first token, or None for zero.
    """
    import torch

    exact, dtype = accumulation_dtype(q), v.dtype
    q, k, v = (x.to(exact) for x in (q, k, v))
    S = k.new_zeros(*k.shape[1:], v.shape[-1]) if state is None else state[0]
    outputs = []
    for one_q, one_k, one_v, factor in zip(q, k, v, g.exp(), strict=True):
        S = factor[..., None, None] * S + one_k[..., :, None] * one_v[..., None, :]
        outputs.append((one_q[..., None, :] @ S).squeeze(-2))
    return (torch.stack(outputs) / math.sqrt(q.shape[-1])).to(dtype), (S,)


def step(q: Tensor, k: Tensor, v: Tensor, g: Tensor, state: State) -> tuple[Tensor, State]:
    """Return one token's output and the state after it; arguments are those of `parallel` at T = 1."""
    exact = accumulation_dtype(q)
    S = g[..., None].exp() * state[0] + k.to(exact).transpose(-1, -2) * v
    return (q.to(exact) @ S / math.sqrt(q.shape[-1])).to(v.dtype), (S,)
