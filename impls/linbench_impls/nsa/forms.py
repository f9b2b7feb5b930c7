"""nsa/naive, masks over all keys, and nsa/chunk, which gathers the keys of selected blocks per token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case, implementation
from linbench_impls.nsa import branches, flops
from linbench_impls.nsa.branches import BLOCK, COUNT
from linbench_impls.toolkit.cache import new_cache

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]


def score_bytes(case: Case) -> float:
    """Return the bytes of the scores and weights of two branches over all keys."""
    copies = 8 if case.mode == "fwd_bwd" else 4
    return copies * case.B * case.H * case.T**2 * case.item_bytes


def mask_flops(case: Case) -> float:
    """Return the operations of two branches over all keys, and of blocks."""
    return flops.by_masks(case, case.T, case.T)


@implementation("nsa", "naive", layout="BHTD", flops=mask_flops, extra_bytes=score_bytes)
def naive(q: Tensor, k: Tensor, v: Tensor, g_cmp: Tensor, g_slc: Tensor, g_swa: Tensor) -> Tensor:
    """Masked softmax over all keys for each branch, in torch; quadratic in T."""
    import torch

    positions = torch.arange(q.shape[2], device=q.device)
    return branches.by_masks(q, k, v, (g_cmp, g_slc, g_swa), positions)


def chunk_flops(case: Case) -> float:
    """Return the operations of the branches and the selection; decode computes masks over the cache."""
    return flops.by_masks(case, 1, case.T + 1) if case.mode == "decode" else flops.by_gathering(case)


def gathered_bytes(case: Case) -> float:
    """Return the bytes of gathered keys and values, and of the float64 scores for the block selection."""
    copies = 3 if case.mode == "fwd_bwd" else 1
    tokens_bytes = copies * COUNT * BLOCK * (case.K + case.V + 2) * case.item_bytes
    return case.tokens * case.H * (tokens_bytes + case.T / BLOCK * (24 + copies * 2 * case.item_bytes))


@implementation("nsa", "chunk", layout="BHTD", flops=chunk_flops, extra_bytes=gathered_bytes)
def chunk(q: Tensor, k: Tensor, v: Tensor, g_cmp: Tensor, g_slc: Tensor, g_swa: Tensor) -> Tensor:
    """Selected blocks gathered per token, in torch; O(T^2 / b + T (n b + w)) time and memory."""
    return branches.by_gathering(q, k, v, (g_cmp, g_slc, g_swa))


@chunk.mode("prefill")
def prefill(
    q: Tensor, k: Tensor, v: Tensor, g_cmp: Tensor, g_slc: Tensor, g_swa: Tensor
) -> tuple[Tensor, State]:
    """Return the output and a key/value cache with a slot for one more token."""
    o = branches.by_gathering(q, k, v, (g_cmp, g_slc, g_swa))
    return o, (new_cache(k, k.shape[2]), new_cache(v, v.shape[2]))


@chunk.mode("decode")
def decode(
    q: Tensor, k: Tensor, v: Tensor, g_cmp: Tensor, g_slc: Tensor, g_swa: Tensor, *, state: State
) -> tuple[Tensor, State]:
    """Return the output of one token and the cache, updated in place; block means are recomputed."""
    import torch

    keys, values = state
    keys[:, :, -1:], values[:, :, -1:] = k, v
    positions = torch.tensor([keys.shape[2] - 1], device=q.device)
    return branches.by_masks(q, keys, values, (g_cmp, g_slc, g_swa), positions), state
