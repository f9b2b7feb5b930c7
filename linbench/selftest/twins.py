"""A plugin: an operator with two implementations that are one function and differ by noise alone."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from linbench import Case, Cost, Operator, TensorSpec, implementation, operator
from linbench.core.case import Scalar


@operator
class Twins(Operator):
    """Causal product: o_t = sum_{u <= t} (q_t . k_u) v_u."""

    name = "twins"
    title = "Causal product, the same code under two names"
    complexity = "O(T^2)"
    inputs = (TensorSpec("q", "BTHK"), TensorSpec("k", "BTHK"), TensorSpec("v", "BTHV"))

    def reference(
        self, tensors: Mapping[str, Tensor], state: tuple[Tensor, ...] | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the output; there is no state."""
        del state, options
        q, k, v = (tensors[name].transpose(1, 2) for name in "qkv")
        return product(q, k, v).transpose(1, 2), ()

    def cost(self, case: Case) -> Cost:
        """Return the work of both products."""
        flops = 2.0 * case.B * case.H * case.T**2 * (case.K + case.V)
        return Cost(flops, self.input_bytes(case) + self.output_bytes(case))


def product(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return the causal product; q, k: [B, H, T, K]; v, o: [B, H, T, V]."""
    return (q @ k.transpose(-1, -2)).tril() @ v


for name in ("one", "other"):
    implementation("twins", name, layout="BHTD")(product)
