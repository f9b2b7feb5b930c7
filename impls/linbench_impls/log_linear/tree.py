"""The forms of log-linear attention: each token weighs buckets of the past that double in length.

    o_t = K^-1/2 sum_{u <= t} lambda_t[level(t, u)] exp(g_{u+1} + ... + g_t) (q_t . k_u) v_u,

level(t, u) = 0 if u = t, else floor(log2(t xor u)) + 1. Before token t bucket l > 0 is a state where bit l
- 1 of t is set, and empty where it is not: a Fenwick tree, in which a new token merges the buckets below
the lowest bit of t that is not set, as a counter carries.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from linbench_impls.toolkit.chunks import cut, joined, products

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CHUNK = 64

State = tuple["Tensor", ...]
"""S [B, H, P, K, V], bucket p + 1 of the next token, and t [B, H], the tokens so far."""


def level_table(tokens: int, device: torch.device) -> Tensor:
    """Return level(t, u), [T, T]; 0 above the diagonal."""
    import torch

    at = torch.arange(tokens, device=device)
    gap = at[:, None] ^ at
    levels = torch.frexp(gap.double())[1]  # gap = f 2^level, f from 1/2 to 1; 0 has level 0
    return levels.tril().long()


def weights(lam: Tensor) -> Tensor:
    """Return lambda_t[level(t, u)], [..., T, T], for lambda [..., T, N]."""
    tokens = lam.shape[-2]
    table = level_table(tokens, lam.device)
    return lam.gather(-1, table.expand(*lam.shape[:-1], tokens))


def buckets(tokens: int) -> list[tuple[int, slice]]:
    """Return the levels that are not empty before token `tokens`, each with the tokens in it."""
    found, start = [], 0
    for bit in reversed(range(tokens.bit_length())):
        if tokens >> bit & 1:
            found.append((bit + 1, slice(start, start + (1 << bit))))
            start += 1 << bit
    return found


def last_state(k: Tensor, v: Tensor, g: Tensor, levels: int) -> State:
    """Return the state after the last token by its definition, one product a bucket."""
    import torch

    tokens = k.shape[2]
    left = (g.flip(-1).cumsum(-1).flip(-1) - g).exp()[..., None]  # what is left of each token at the end
    S = [k.new_zeros(*k.shape[:2], k.shape[3], v.shape[3])] * levels
    for level, some in buckets(tokens):
        S[level - 1] = (k * left)[:, :, some].transpose(-1, -2) @ v[:, :, some]
    return torch.stack(S, 2), k.new_full(k.shape[:2], float(tokens))


def parallel(q: Tensor, k: Tensor, v: Tensor, g: Tensor, lam: Tensor) -> tuple[Tensor, State]:
    """Return output and last state from the whole matrix of weights; quadratic in T.

    Args:
        q: [B, H, T, K].
        k: [B, H, T, K].
        v: [B, H, T, V].
        g: Log-decays, never above 0, [B, H, T].
        lam: lambda, [B, H, T, N].
    """
    c = g.cumsum(-1)[..., None]
    o = (products(q * q.shape[-1] ** -0.5, k, c, c) * weights(lam)) @ v
    return o, last_state(k, v, g, lam.shape[-1] - 1)


def chunked(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, lam: Tensor, *, state: State | None, size: int = CHUNK
) -> tuple[Tensor, State]:
    """Chunked form in torch: a Fenwick tree of chunks, O(T log T) time and memory; in float32.

    The lowest levels lie inside a chunk, since its length is a power of two. A call that is given a state
    goes on token by token.
    """
    import torch

    if state is not None:
        return recurrent(q, k, v, g, lam, state=state)
    tokens, inner = q.shape[2], int(math.log2(size))
    end_state = last_state(k, v, g, lam.shape[-1] - 1)
    q, k, v, g, lam = cut((q * q.shape[-1] ** -0.5, k, v, g[..., None], lam), size)
    c = g.cumsum(-2)
    last = c[..., -1:, :]
    if lam.shape[-1] <= inner:  # T is shorter than a chunk: there are levels that no token asks for
        lam = torch.nn.functional.pad(lam, (0, inner + 1 - lam.shape[-1]))
    o = (products(q, k, c, c) * weights(lam)) @ v
    added = (k * (last - c).exp()).transpose(-1, -2) @ v  # [B, H, N, K, V]
    decayed = q * c.exp()
    levels: dict[int, Tensor] = {}  # by bit of the number of the chunk
    outer = []
    for number, (query, scale, one, kept) in enumerate(
        zip(decayed.unbind(2), lam.unbind(2), added.unbind(2), last.exp().unbind(2), strict=True)
    ):
        rows = [scale[..., inner + 1 + bit, None] * (query @ S) for bit, S in levels.items()]
        outer.append(torch.stack(rows).sum(0) if rows else torch.zeros_like(o[:, :, number]))
        levels = {bit: kept * S for bit, S in levels.items()}
        new, bit = one, 0
        while bit in levels:
            new, bit = new + levels.pop(bit), bit + 1
        levels[bit] = new
        assert set(levels) == {bit for bit in range(64) if number + 1 >> bit & 1}
    return joined(o + torch.stack(outer, 2), tokens), end_state


def recurrent(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, lam: Tensor, *, state: State | None
) -> tuple[Tensor, State]:
    """Recurrent form: one step a token over all levels; in float32.

    Which buckets merge is worked out on the device from the number of tokens that the state carries.
    """
    import torch

    levels = lam.shape[-1] - 1
    if state is None:
        shape = (*k.shape[:2], levels, k.shape[3], v.shape[3])
        state = (k.new_zeros(shape), k.new_zeros(k.shape[:2]))
    S, count = state
    at = count.flatten()[0].long()
    bits = torch.arange(1, levels + 1, device=k.device)
    outputs = []
    for one_q, one_k, one_v, decay, scale in zip(
        *(x.unbind(2) for x in (q, k, v, g.exp(), lam)), strict=True
    ):
        new = one_k[..., :, None] * one_v[..., None, :]
        S = decay[..., None, None, None] * S
        own = scale[..., 0, None] * (one_q[..., None, :] @ new).squeeze(-2)
        past = (one_q[..., None, None, :] @ S).squeeze(-2)  # [B, H, P, V]
        outputs.append(own + (scale[..., 1:, None] * past).sum(2))
        carried = at ^ (at + 1)  # ones up to the lowest bit of t that is not set
        merges = (carried >> bits & 1).to(S.dtype)[:, None, None]
        target = (carried >> (bits - 1) & 1).to(S.dtype)[:, None, None] - merges
        S = S * (1 - merges) + target * (new + (merges * S).sum(2)).unsqueeze(2)
        at = at + 1
    return torch.stack(outputs, 2) * q.shape[-1] ** -0.5, (S, count + q.shape[2])
