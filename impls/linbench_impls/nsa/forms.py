"""nsa/naive, masks over all keys, and nsa/chunk: the keys of selected blocks gathered for each token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case, implementation
from linbench_impls.nsa import branches, flops
from linbench_impls.nsa.branches import BLOCK, COUNT
from linbench_impls.toolkit.cache import cache_of

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
    """Softmax over all keys, masked, once for each branch; quadratic in T."""
    import torch

    at = torch.arange(q.shape[2], device=q.device)
    return branches.by_masks(q, k, v, (g_cmp, g_slc, g_swa), at)


def chunk_flops(case: Case) -> float:
    """Return the operations of all three branches and of the selection; in decode by masks over the cache."""
    return flops.by_masks(case, 1, case.T + 1) if case.mode == "decode" else flops.gathered(case)


def gathered_bytes(case: Case) -> float:
    """Return the bytes of gathered keys and values, and of the float64 scores of the selection."""
    copies = 3 if case.mode == "fwd_bwd" else 1
    kept = copies * COUNT * BLOCK * (case.K + case.V + 2) * case.item_bytes
    return case.tokens * case.H * (kept + case.T / BLOCK * (24 + copies * 2 * case.item_bytes))


@implementation("nsa", "chunk", layout="BHTD", flops=chunk_flops, extra_bytes=gathered_bytes)
def chunk(q: Tensor, k: Tensor, v: Tensor, g_cmp: Tensor, g_slc: Tensor, g_swa: Tensor) -> Tensor:
    """Blocks gathered for each token in torch: O(T^2 / b + T (n b + w)) time and memory."""
    return branches.gathered(q, k, v, (g_cmp, g_slc, g_swa))


@chunk.mode("prefill")
def prefill(
    q: Tensor, k: Tensor, v: Tensor, g_cmp: Tensor, g_slc: Tensor, g_swa: Tensor
) -> tuple[Tensor, State]:
    """Return the output and a cache of keys and values with room for one more token."""
    o = branches.gathered(q, k, v, (g_cmp, g_slc, g_swa))
    return o, (cache_of(k, k.shape[2]), cache_of(v, v.shape[2]))


@chunk.mode("decode")
def decode(
    q: Tensor, k: Tensor, v: Tensor, g_cmp: Tensor, g_slc: Tensor, g_swa: Tensor, *, state: State
) -> tuple[Tensor, State]:
    """Return the output of one token over the cache, advanced in place; means of blocks are taken again."""
    import torch

    keys, values = state
    keys[:, :, -1:], values[:, :, -1:] = k, v
    at = torch.tensor([keys.shape[2] - 1], device=q.device)
    return branches.by_masks(q, keys, values, (g_cmp, g_slc, g_swa), at), state
