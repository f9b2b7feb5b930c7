"""Operator gated_delta: the delta rule behind one data-dependent gate a head and step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from linbench import Option, TensorSpec, operator
from linbench.core.case import Scalar
from linbench_impls.dplr.operator import BETA, DeltaRule
from linbench_impls.forms.operator import GATES, QKV, softplus_gates

if TYPE_CHECKING:
    from torch import Generator, Tensor


@operator
class GatedDelta(DeltaRule):
    """Gated delta rule of Gated DeltaNet.

    S' = exp(g_t) S_{t-1}, S_t = S' + beta_t k_t (v_t - S'^T k_t)^T, o_t = K^-1/2 S_t^T q_t; g: [B, T, H],
    log-decays <= 0, float32, drawn as those of simple_gla; the rest as in `DeltaRule`.
    """

    name = "gated_delta"
    title = "Delta rule with a scalar gate a head and step"
    source = "Yang et al. 2024, Gated Delta Networks, arXiv:2412.06464"
    inputs = (*QKV, TensorSpec("g", "BTH", exact=True), BETA)
    options: ClassVar[Mapping[str, Option]] = {**DeltaRule.options, "gates": GATES}

    def draw(
        self, spec: TensorSpec, shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]
    ) -> Tensor:
        """Return random inputs, the gates among them."""
        if spec.name == "g":
            return softplus_gates(shape, generator, options)
        return super().draw(spec, shape, generator, options)

    def gated(self, S: Tensor, token: Mapping[str, Tensor]) -> Tensor:
        """Return exp(g) S."""
        return token["g"].exp()[..., None, None] * S
