"""nsa/naive: three masked softmaxes over all keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case, implementation
from linbench_impls.nsa import flops, forms

if TYPE_CHECKING:
    from torch import Tensor


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
    return forms.by_masks(q, k, v, (g_cmp, g_slc, g_swa), at)
