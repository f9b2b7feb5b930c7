"""Operator kda: the delta rule with one gate per key dimension."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from linbench import TensorSpec, operator
from linbench_impls.families.dplr.operator import BETA, GatedDeltaRule
from linbench_impls.families.dplr.parametrization import Parametrization, delta_rule
from linbench_impls.toolkit.recurrence import QKV

if TYPE_CHECKING:
    from torch import Tensor


@operator
class KDA(GatedDeltaRule):
    """Kimi delta attention.

    S' = diag(exp g_t) S_{t-1}, S_t = S' + beta_t k_t (v_t - S'^T k_t)^T, o_t = K^-1/2 S_t^T q_t; g:
    [B, T, H, K], log-decays <= 0, float32, drawn as those of simple_gla; otherwise as in `DeltaRule`.
    """

    name = "kda"
    title = "Delta rule with one gate per key dimension"
    source = "Kimi Team 2025, Kimi Linear, arXiv:2510.26692"
    inputs = (*QKV, TensorSpec("g", "BTHK", at_least_float32=True), BETA)
    parametrization = Parametrization(delta_rule, gates="key")

    def apply_gate(self, S: Tensor, token: Mapping[str, Tensor]) -> Tensor:
        """Return diag(exp g) S."""
        return token["g"].exp()[..., None] * S
