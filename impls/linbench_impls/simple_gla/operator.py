"""Operator simple_gla: one data-dependent gate per head and step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Expected, Inputs, Option, TensorSpec, operator
from linbench.core.case import Scalar
from linbench_impls.families.decay.operator import Decay
from linbench_impls.toolkit.recurrence import GATES, QKV, softplus_gates

if TYPE_CHECKING:
    from torch import Generator, Tensor


@operator
class SimpleGLA(Decay):
    """Linear attention with one scalar gate per head and step.

    It is the SSD of Mamba-2 with q = C, k = B, v = dt x, g = dt A:
    S_t = exp(g_t) S_{t-1} + k_t v_t^T, o_t = K^-1/2 S_t^T q_t; g: [B, T, H], log-decays <= 0, float32. They
    are drawn as -softplus(x + a) with x normal and a = -3 (a median step keeps 95%), -8 (99.97%) or 4 (1.8%).
    """

    name = "simple_gla"
    title = "Linear attention with one scalar gate per head and step (Mamba-2 SSD)"
    source = "Dao and Gu 2024, Transformers are SSMs, arXiv:2405.21060"
    inputs = (*QKV, TensorSpec("g", "BTH", at_least_float32=True))
    options: ClassVar[Mapping[str, Option]] = {
        **Decay.options,
        "gates": GATES,
    }

    def draw(
        self, spec: TensorSpec, shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]
    ) -> Tensor:
        """Return random q, k and v, and gates -softplus(x + a)."""
        if spec.name == "g":
            return softplus_gates(shape, generator, options)
        return super().draw(spec, shape, generator, options)

    def expected(self, case: Case, inputs: Inputs) -> dict[str, Expected]:
        """Return the expected values; at T = 1 without a state the gradient of g is zero, with a `zero_rms`.

        It is the difference q . dq - k . dk of two terms equal to o . do; rounding is relative to these.
        """
        expected = super().expected(case, inputs)
        if case.T == 1 and inputs.state is None and "dg" in expected:
            term = float(expected["o"].value.square().mean() * case.V) ** 0.5
            expected["dg"] = replace(expected["dg"], zero_rms=term)
        return expected

    def state_variance(self, case: Case, generator: Generator) -> Tensor:
        """Return 1 / (1 - the mean of exp(2 g)), [H], from a sample of gates."""
        gates = softplus_gates((4096, case.H), generator, self.option_values(case))
        return -1 / (2 * gates).exp().sub(1).mean(0)
