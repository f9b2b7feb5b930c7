"""Softmax over nearby keys, in blocks: each block of queries attends to at most two blocks of keys.

    o_t = sum_{u = first(t)}^t softmax_u(q_t . k_u / sqrt(K)) v_u,

first(t) = t - w + 1 in a sliding window of w, w floor(t / w) in blocks on the diagonal. Every function
computes in the dtype of its inputs; time and memory are O(T w).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.toolkit.chunks import join_chunks, split_into_chunks
from linbench_impls.toolkit.flops import pairs

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]
Form = Callable[["Tensor", "Tensor", "Tensor", int], "Tensor"]


def attend(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None = None) -> Tensor:
    """Return softmax attention of q [..., R, K] over k [..., U, K], where `visible`, [..., R, U], is true."""
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-1, -2)
    if visible is not None:
        scores = scores.masked_fill(~visible, -math.inf)
    return scores.softmax(-1) @ v


def sliding(q: Tensor, k: Tensor, v: Tensor, size: int) -> Tensor:
    """Return attention over the last `size` keys, [B, H, T, V]; a block sees itself and the previous one."""
    import torch
    import torch.nn.functional as F

    tokens = q.shape[2]
    q, k, v = split_into_chunks((q, k, v), size)
    two_k, two_v = (torch.cat([F.pad(x, (0, 0, 0, 0, 1, -1)), x], 3) for x in (k, v))
    row = torch.arange(size, device=q.device)[:, None]
    column = torch.arange(2 * size, device=q.device) - size
    visible = (column <= row) & (row - column < size)
    first = torch.arange(q.shape[2], device=q.device)[:, None, None] == 0
    return join_chunks(attend(q, two_k, two_v, visible & ~(first & (column < 0))), tokens)


def blocks(q: Tensor, k: Tensor, v: Tensor, size: int) -> Tensor:
    """Return causal attention inside blocks of `size` tokens, [B, H, T, V]."""
    import torch

    tokens = q.shape[2]
    q, k, v = split_into_chunks((q, k, v), size)
    visible = torch.ones(size, size, dtype=torch.bool, device=q.device).tril()
    return join_chunks(attend(q, k, v, visible), tokens)


def full(q: Tensor, k: Tensor, v: Tensor, first: Tensor) -> Tensor:
    """Return attention from the full matrix of scores; first: the first key that each row sees, [T]."""
    import torch

    keys = torch.arange(q.shape[2], device=q.device)
    return attend(q, k, v, (keys <= keys[:, None]) & (keys >= first[:, None]))


def score_bytes(case: Case) -> float:
    """Return the bytes of the T x T scores and weights, and of their gradients in backward."""
    copies = 4 if case.mode == "fwd_bwd" else 2
    return copies * case.B * case.H * case.T**2 * case.item_bytes


def quadratic_flops(case: Case) -> float:
    """Return the operations of the full products, including masked pairs."""
    return pairs(case, case.T**2)


def decode(q: Tensor, k: Tensor, v: Tensor, state: State) -> tuple[Tensor, State]:
    """Return the output of one token, which sees the full cache, and the cache, updated in place."""
    keys, values = state
    keys[:, :, -1:], values[:, :, -1:] = k, v
    return attend(q, keys, values), state
