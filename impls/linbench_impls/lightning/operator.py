"""Operator lightning: log gamma_h = -8 h / H."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import operator
from linbench_impls.families.decay.operator import ConstantDecay

if TYPE_CHECKING:
    from torch import Tensor


@operator
class Lightning(ConstantDecay):
    """Lightning attention of TransNormerLLM, as in layer 0, which has the strongest decays.

    S_t = gamma_h S_{t-1} + k_t v_t^T, o_t = K^-1/2 S_t^T q_t; log gamma_h = -(8 / H) (1 - layer / L) h with
    layer = 0 and h = 0, 1, ... H - 1: head 0 does not decay. The norm and the output gate are not included.
    The code of the authors has log gamma_h = -2^(-8 (h + 1) / H) instead, for H a power of two.
    """

    name = "lightning"
    title = "Lightning attention: linear attention with one fixed decay per head, layer 0"
    source = "Qin et al. 2023, TransNormerLLM, arXiv:2307.14995"

    def log_gamma(self, heads: int) -> Tensor:
        """Return -8 h / H, [H], float64."""
        import torch

        return -8 / heads * torch.arange(heads, dtype=torch.float64)
