"""softmax/naive: the full matrix of scores."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from linbench import Case, implementation
from linbench_impls.softmax.padding import visible_keys
from linbench_impls.toolkit.cache import new_cache
from linbench_impls.toolkit.flops import pairs
from linbench_impls.toolkit.varlen import sequence_mask

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]


def score_bytes(case: Case) -> float:
    """Return the bytes of the scores and weights, and of their gradients in backward."""
    if case.mode == "decode":
        rows = 1 if case.options.get("cache", True) else case.T + 1
        return 2 * case.B * case.H * rows * (case.T + 1) * case.item_bytes
    copies = 4 if case.mode == "fwd_bwd" else 2
    return copies * case.B * case.H * case.T**2 * case.item_bytes


def quadratic_flops(case: Case) -> float:
    """Return the operations of the full products, including the masked half."""
    if case.mode == "decode":
        return pairs(case, (1 if case.options.get("cache", True) else case.T + 1) * (case.T + 1))
    return pairs(case, case.T**2)


@implementation("softmax", "naive", layout="BHTD", flops=quadratic_flops, extra_bytes=score_bytes)
def naive(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    causal: bool = True,
    group: int = 1,
    padding: float = 0.0,
    varlen: int = 1,
) -> Tensor:
    """Softmax of the full T x T matrix of scores, in the input dtype; varlen sequences as its blocks."""
    import torch

    tokens = q.shape[-2]
    q, k, v = split_groups(q, k, v, group)
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-1, -2)
    if varlen > 1:
        scores.masked_fill_(~sequence_mask(tokens, varlen, causal, q.device), -math.inf)
    elif causal:
        hidden = torch.ones(tokens, tokens, dtype=torch.bool, device=q.device).triu(1)
        scores.masked_fill_(hidden, -math.inf)
    if padding:
        visible = visible_keys(q.shape[0], tokens, padding, q.device)[:, None, None, None]
        scores.masked_fill_(~visible, -math.inf)
    return (scores.softmax(-1) @ v).flatten(1, 2)


@naive.mode("prefill")
def prefill(q: Tensor, k: Tensor, v: Tensor, *, group: int = 1) -> tuple[Tensor, State]:
    """Return the output and a key/value cache with a slot for one more token."""
    return naive.functions["fwd"](q, k, v, group=group), (new_cache(k, k.shape[2]), new_cache(v, v.shape[2]))


@naive.mode("decode")
def decode(
    q: Tensor, k: Tensor, v: Tensor, *, cache: bool = True, group: int = 1, state: State | None = None
) -> tuple[Tensor, State]:
    """Return the output of one token from the cache, or of the last of T + 1 tokens, all recomputed."""
    if not cache or state is None:
        return naive.functions["fwd"](q, k, v, group=group)[:, :, -1:], ()
    keys, values = state
    keys[:, :, -1:], values[:, :, -1:] = k, v
    q, keys, values = split_groups(q, keys, values, group)
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ keys.transpose(-1, -2)
    return (scores.softmax(-1) @ values).flatten(1, 2), state


def split_groups(q: Tensor, k: Tensor, v: Tensor, group: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return q as [B, H / g, g, T, K], and k and v as views shared by its g heads."""
    return q.unflatten(1, (-1, group)), k[:, :, None], v[:, :, None]
