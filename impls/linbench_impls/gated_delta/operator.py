"""Operator gated_delta: the delta rule with one data-dependent gate per head and step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from linbench import TensorSpec, operator
from linbench_impls.families.dplr.operator import BETA, GatedDeltaRule
from linbench_impls.families.dplr.parametrization import Arguments, Parametrization, delta_rule
from linbench_impls.toolkit.recurrence import QKV

if TYPE_CHECKING:
    from torch import Tensor


def arguments(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor) -> Arguments:
    """Return the arguments of the delta rule with one gate per head."""
    return delta_rule(q, k, v, g[..., None], beta)


@operator
class GatedDelta(GatedDeltaRule):
    """Gated delta rule of Gated DeltaNet.

    S' = exp(g_t) S_{t-1}, S_t = S' + beta_t k_t (v_t - S'^T k_t)^T, o_t = K^-1/2 S_t^T q_t; g: [B, T, H],
    log-decays <= 0, float32, drawn as those of simple_gla; otherwise as in `DeltaRule`.
    """

    name = "gated_delta"
    title = "Delta rule with one scalar gate per head and step"
    source = "Yang et al. 2024, Gated Delta Networks, arXiv:2412.06464"
    inputs = (*QKV, TensorSpec("g", "BTH", at_least_float32=True), BETA)
    parametrization = Parametrization(arguments, gates="head")

    def apply_gate(self, S: Tensor, token: Mapping[str, Tensor]) -> Tensor:
        """Return exp(g) S."""
        return token["g"].exp()[..., None, None] * S
