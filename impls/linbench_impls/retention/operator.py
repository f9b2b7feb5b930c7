"""Operator retention: gamma_h = 1 - 2^(-5-h)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import operator
from linbench_impls.families.decay.operator import ConstantDecay

if TYPE_CHECKING:
    from torch import Tensor


@operator
class Retention(ConstantDecay):
    """Retention of RetNet, without xPos, group norm and output gate.

    S_t = gamma_h S_{t-1} + k_t v_t^T, o_t = K^-1/2 S_t^T q_t; gamma_h = 1 - 2^(-5-h), h = 0, 1, ... H - 1.
    """

    name = "retention"
    title = "Retention: linear attention with one fixed decay per head"
    source = "Sun et al. 2023, Retentive Network, arXiv:2307.08621"

    def log_gamma(self, heads: int) -> Tensor:
        """Return log(1 - 2^(-5-h)), [H], float64."""
        import torch

        return torch.log1p(-torch.exp2(-5 - torch.arange(heads, dtype=torch.float64)))
