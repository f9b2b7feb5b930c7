"""A plugin: an operator with two implementations that are the same function, so only noise separates them."""

from __future__ import annotations

from linbench import Case, Cost, implementation, operator
from linbench.selftest.product import CausalProduct, product


@operator
class AATest(CausalProduct):
    """Causal product: o_t = sum_{u <= t} (q_t . k_u) v_u."""

    name = "aa_test"
    title = "Causal product, the same code under two names"
    complexity = "O(T^2)"

    def cost(self, case: Case) -> Cost:
        """Return the cost of both products."""
        flops = 2.0 * case.B * case.H * case.T**2 * (case.K + case.V)
        return Cost(flops, self.input_bytes(case) + self.output_bytes(case))


for name in ("one", "other"):
    implementation("aa_test", name, layout="BHTD")(product)
