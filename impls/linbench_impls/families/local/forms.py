"""Softmax over keys nearby, in blocks: each block of queries meets at most two blocks of keys.

    o_t = sum_{u = first(t)}^t softmax_u(q_t . k_u / sqrt(K)) v_u,

first(t) = t - w + 1 in a sliding window of w, w floor(t / w) in blocks on the diagonal. Every function
computes in the dtype that it is given; time and memory are O(T w).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.toolkit.chunks import cut, joined
from linbench_impls.toolkit.flops import pairs

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]
Form = Callable[["Tensor", "Tensor", "Tensor", int], "Tensor"]


def attend(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None = None) -> Tensor:
    """Return softmax attention of q [..., R, K] over k [..., U, K], where `seen`, [..., R, U], is true."""
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-1, -2)
    if seen is not None:
        scores = scores.masked_fill(~seen, -math.inf)
    return scores.softmax(-1) @ v


def sliding(q: Tensor, k: Tensor, v: Tensor, size: int) -> Tensor:
    """Return attention over the last `size` keys, [B, H, T, V]; a block sees itself and the one before."""
    import torch
    import torch.nn.functional as F

    tokens = q.shape[2]
    q, k, v = cut((q, k, v), size)
    both_k, both_v = (torch.cat([F.pad(x, (0, 0, 0, 0, 1, -1)), x], 3) for x in (k, v))
    row = torch.arange(size, device=q.device)[:, None]
    column = torch.arange(2 * size, device=q.device) - size
    seen = (column <= row) & (row - column < size)
    first = torch.arange(q.shape[2], device=q.device)[:, None, None] == 0
    return joined(attend(q, both_k, both_v, seen & ~(first & (column < 0))), tokens)


def blocks(q: Tensor, k: Tensor, v: Tensor, size: int) -> Tensor:
    """Return causal attention inside blocks of `size` tokens, [B, H, T, V]."""
    import torch

    tokens = q.shape[2]
    q, k, v = cut((q, k, v), size)
    seen = torch.ones(size, size, dtype=torch.bool, device=q.device).tril()
    return joined(attend(q, k, v, seen), tokens)


def whole(q: Tensor, k: Tensor, v: Tensor, first: Tensor) -> Tensor:
    """Return attention from the whole matrix of scores; first: for each row, the first key it sees, [T]."""
    import torch

    at = torch.arange(q.shape[2], device=q.device)
    return attend(q, k, v, (at <= at[:, None]) & (at >= first[:, None]))


def score_bytes(case: Case) -> float:
    """Return the bytes of the T x T scores, of the weights, and in backward of their gradients."""
    copies = 4 if case.mode == "fwd_bwd" else 2
    return copies * case.B * case.H * case.T**2 * case.item_bytes


def quadratic_flops(case: Case) -> float:
    """Return the operations of the full products; what is masked is computed too."""
    return pairs(case, case.T**2)


def decode(q: Tensor, k: Tensor, v: Tensor, state: State) -> tuple[Tensor, State]:
    """Return the output of one token, which sees the whole cache, and the cache, advanced in place."""
    keys, values = state
    keys[:, :, -1:], values[:, :, -1:] = k, v
    return attend(q, keys, values), state
