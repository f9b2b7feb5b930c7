"""diag_attention/naive: the whole matrix of scores, all but the blocks masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case, implementation
from linbench_impls.diag_attention.operator import BLOCK
from linbench_impls.families.local import forms
from linbench_impls.toolkit.flops import pairs

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT = int(BLOCK.default)


def score_bytes(case: Case) -> float:
    """Return the bytes of the scores, of the weights, and in backward of their gradients."""
    copies = 4 if case.mode == "fwd_bwd" else 2
    return copies * case.B * case.H * case.T**2 * case.item_bytes


def quadratic_flops(case: Case) -> float:
    """Return the operations of the full products; what is masked is computed too."""
    return pairs(case, case.T**2)


@implementation("diag_attention", "naive", layout="BHTD", flops=quadratic_flops, extra_bytes=score_bytes)
def naive(q: Tensor, k: Tensor, v: Tensor, *, block: int = DEFAULT) -> Tensor:
    """Softmax of the whole T x T matrix of scores, masked outside blocks."""
    import torch

    at = torch.arange(q.shape[2], device=q.device)
    return forms.whole(q, k, v, at - at % block)
