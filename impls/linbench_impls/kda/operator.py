"""Operator kda: the delta rule behind a gate for each dimension of a key."""

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
class KDA(DeltaRule):
    """Kimi delta attention.

    S' = diag(exp g_t) S_{t-1}, S_t = S' + beta_t k_t (v_t - S'^T k_t)^T, o_t = K^-1/2 S_t^T q_t; g:
    [B, T, H, K], log-decays <= 0, float32, drawn as those of simple_gla; the rest as in `DeltaRule`.
    """

    name = "kda"
    title = "Delta rule with a gate for each dimension of a key"
    source = "Kimi Team 2025, Kimi Linear, arXiv:2510.26692"
    inputs = (*QKV, TensorSpec("g", "BTHK", exact=True), BETA)
    options: ClassVar[Mapping[str, Option]] = {**DeltaRule.options, "gates": GATES}

    def draw(
        self, spec: TensorSpec, shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]
    ) -> Tensor:
        """Return random inputs, the gates among them."""
        if spec.name == "g":
            return softplus_gates(shape, generator, options)
        return super().draw(spec, shape, generator, options)

    def gated(self, S: Tensor, token: Mapping[str, Tensor]) -> Tensor:
        """Return diag(exp g) S."""
        return token["g"].exp()[..., None] * S
