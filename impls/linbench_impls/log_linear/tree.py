"""The forms of log-linear attention: each token has weights for past buckets that double in length.

    o_t = K^-1/2 sum_{u <= t} lambda_t[level(t, u)] exp(g_{u+1} + ... + g_t) (q_t . k_u) v_u,

level(t, u) = 0 if u = t, else floor(log2(t xor u)) + 1. Before token t, bucket l > 0 has a state if bit
l - 1 of t is set, and is empty otherwise. This is a Fenwick tree: a new token merges the buckets below the
lowest bit of t that is not set, like the carry of a binary counter.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from linbench_impls.toolkit.chunks import decay_weights, join_chunks, products, split_into_chunks

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CHUNK = 64

State = tuple["Tensor", ...]
"""S [B, H, P, K, V], bucket p + 1 of the next token, and t [B, H], the number of tokens."""


def level_table(tokens: int, device: torch.device) -> Tensor:
    """Return level(t, u), [T, T]; 0 above the diagonal."""
    import torch

    positions = torch.arange(tokens, device=device)
    gap = positions[:, None] ^ positions
    levels = torch.frexp(gap.double())[1]  # gap = f 2^level, f from 1/2 to 1; 0 has level 0
    return levels.tril().long()


def weights(lam: Tensor) -> Tensor:
    """Return lambda_t[level(t, u)], [..., T, T], for lambda [..., T, N]."""
    tokens = lam.shape[-2]
    table = level_table(tokens, lam.device)
    return lam.gather(-1, table.expand(*lam.shape[:-1], tokens))


def buckets(tokens: int) -> list[tuple[int, slice]]:
    """Return the levels that are not empty before token `tokens`, each with its slice of tokens."""
    levels, start = [], 0
    for bit in reversed(range(tokens.bit_length())):
        if tokens >> bit & 1:
            levels.append((bit + 1, slice(start, start + (1 << bit))))
            start += 1 << bit
    return levels


def last_state(k: Tensor, v: Tensor, g: Tensor, levels: int) -> State:
    """Return the state after the last token by its definition, one product per bucket."""
    import torch

    tokens = k.shape[2]
    later = torch.nn.functional.pad(g[..., 1:], (0, 1))
    to_end = later.flip(-1).cumsum(-1).flip(-1).exp()[..., None]
    S = [k.new_zeros(*k.shape[:2], k.shape[3], v.shape[3])] * levels
    for level, part in buckets(tokens):
        S[level - 1] = (k * to_end)[:, :, part].transpose(-1, -2) @ v[:, :, part]
    return torch.stack(S, 2), k.new_full(k.shape[:2], float(tokens))


def parallel(q: Tensor, k: Tensor, v: Tensor, g: Tensor, lam: Tensor) -> tuple[Tensor, State]:
    """Return output and last state from the full matrix of weights; quadratic in T.

    Args:
        q: [B, H, T, K].
        k: [B, H, T, K].
        v: [B, H, T, V].
        g: Log-decays, never above 0, [B, H, T].
        lam: lambda, [B, H, T, N].
    """
    o = (products(q * q.shape[-1] ** -0.5, k, decay_weights(g[..., None])) * weights(lam)) @ v
    return o, last_state(k, v, g, lam.shape[-1] - 1)


def chunked(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, lam: Tensor, *, state: State | None, size: int = CHUNK
) -> tuple[Tensor, State]:
    """Chunked form in torch, with a Fenwick tree of chunks; O(T log T) time and memory; in float32.

    The lowest levels are inside a chunk, because its length is a power of two. With an initial state it
    computes token by token.
    """
    import torch

    if state is not None:
        return recurrent(q, k, v, g, lam, state=state)
    tokens, inner = q.shape[2], int(math.log2(size))
    end_state = last_state(k, v, g, lam.shape[-1] - 1)
    q, k, v, g, lam = split_into_chunks((q * q.shape[-1] ** -0.5, k, v, g[..., None], lam), size)
    decays, from_start = decay_weights(g), g.cumsum(-2).exp()
    if lam.shape[-1] <= inner:  # T is shorter than a chunk: no token uses the missing levels
        lam = torch.nn.functional.pad(lam, (0, inner + 1 - lam.shape[-1]))
    o = (products(q, k, decays) * weights(lam)) @ v
    updates = (k * decays[..., -1, :, :]).transpose(-1, -2) @ v  # [B, H, N, K, V]
    decayed, chunk_decays = q * from_start, from_start[..., -1:, :]
    levels: dict[int, Tensor] = {}  # key: bit of the index of the chunk
    outer = []
    for index, (query, scale, update, decay) in enumerate(
        zip(decayed.unbind(2), lam.unbind(2), updates.unbind(2), chunk_decays.unbind(2), strict=True)
    ):
        rows = [scale[..., inner + 1 + bit, None] * (query @ S) for bit, S in levels.items()]
        outer.append(torch.stack(rows).sum(0) if rows else torch.zeros_like(o[:, :, index]))
        levels = {bit: decay * S for bit, S in levels.items()}
        new, bit = update, 0
        while bit in levels:
            new, bit = new + levels.pop(bit), bit + 1
        levels[bit] = new
        assert set(levels) == {bit for bit in range(64) if index + 1 >> bit & 1}
    return join_chunks(o + torch.stack(outer, 2), tokens), end_state


def recurrent(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, lam: Tensor, *, state: State | None
) -> tuple[Tensor, State]:
    """Recurrent form in torch: one step per token over all levels; in float32.

    The buckets to merge are computed on the device from the number of tokens in the state.
    """
    import torch

    levels = lam.shape[-1] - 1
    if state is None:
        shape = (*k.shape[:2], levels, k.shape[3], v.shape[3])
        state = (k.new_zeros(shape), k.new_zeros(k.shape[:2]))
    S, count = state
    position = count.flatten()[0].long()
    bits = torch.arange(1, levels + 1, device=k.device)
    outputs = []
    for q_t, k_t, v_t, decay, scale in zip(*(x.unbind(2) for x in (q, k, v, g.exp(), lam)), strict=True):
        new = k_t[..., :, None] * v_t[..., None, :]
        S = decay[..., None, None, None] * S
        diagonal = scale[..., 0, None] * (q_t[..., None, :] @ new).squeeze(-2)
        history = (q_t[..., None, None, :] @ S).squeeze(-2)  # [B, H, P, V]
        outputs.append(diagonal + (scale[..., 1:, None] * history).sum(2))
        carry = position ^ (position + 1)  # ones up to the lowest bit of t that is not set
        merge = (carry >> bits & 1).to(S.dtype)[:, None, None]
        target = (carry >> (bits - 1) & 1).to(S.dtype)[:, None, None] - merge
        S = S * (1 - merge) + target * (new + (merge * S).sum(2)).unsqueeze(2)
        position = position + 1
    return torch.stack(outputs, 2) * q.shape[-1] ** -0.5, (S, count + q.shape[2])
