"""A plugin: a chunked product, and the same with extra chunks, which are real slowdowns of known size."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from linbench import Case, Cost, implementation, operator
from linbench.selftest import EXTRA_CHUNKS
from linbench.selftest.product import CausalProduct

CHUNKS = 100


@operator
class InjectedSlowdowns(CausalProduct):
    """Causal product: o_t = sum_{u <= t} (q_t . k_u) v_u."""

    name = "injected_slowdowns"
    title = "Causal product in a hundred chunks, plus extra chunks"
    complexity = "O(T)"

    def cost(self, case: Case) -> Cost:
        """Return the cost of the chunked form."""
        chunk = case.T / CHUNKS
        flops = case.B * case.H * case.T * (4.0 * case.K * case.V + 2.0 * chunk * (case.K + case.V))
        return Cost(flops, self.input_bytes(case) + self.output_bytes(case))


def product(q: Tensor, k: Tensor, v: Tensor, extra: int) -> Tensor:
    """Return the causal product; the first `extra` chunks are computed twice, and the copies are discarded.

    Every operation runs over all chunks at once, so each extra chunk adds 1% of work.

    Args:
        q: [B, H, T, K].
        k: [B, H, T, K].
        v: [B, H, T, V].
        extra: Number of chunks, of a hundred, that are computed twice.
    """
    tokens = q.shape[2]
    q, k, v = (F.pad(x, (0, 0, 0, -tokens % CHUNKS)).unflatten(2, (CHUNKS, -1)) for x in (q, k, v))
    q, k, v = (torch.cat((x, x[:, :, :extra]), 2) for x in (q, k, v))  # [B, H, N, C, D]
    states = k.transpose(-1, -2) @ v  # [B, H, N, K, V], the sum within each chunk
    before = states.cumsum(2) - states
    o = (q @ k.transpose(-1, -2)).tril() @ v + q @ before
    return o.flatten(2, 3)[:, :, :tokens]


def product_with_extra(extra: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return a function that computes the product with `extra` chunks more."""

    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Causal product in chunks."""
        return product(q, k, v, extra)

    return call


implementation("injected_slowdowns", "base", layout="BHTD")(product_with_extra(0))
for number in EXTRA_CHUNKS:
    implementation("injected_slowdowns", f"plus_{number}", layout="BHTD")(product_with_extra(number))
