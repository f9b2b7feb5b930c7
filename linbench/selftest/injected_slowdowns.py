"""A plugin: a chunked product, and the same with extra chunks: slowdowns that are real and of known size."""

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
    title = "Causal product in a hundred chunks, with extra ones"
    complexity = "O(T)"

    def cost(self, case: Case) -> Cost:
        """Return the work of the chunked form."""
        chunk = case.T / CHUNKS
        flops = case.B * case.H * case.T * (4.0 * case.K * case.V + 2.0 * chunk * (case.K + case.V))
        return Cost(flops, self.input_bytes(case) + self.output_bytes(case))


def product(q: Tensor, k: Tensor, v: Tensor, extra: int) -> Tensor:
    """Return the causal product; the first chunks are computed again after the last, and thrown away.

    Every operation is over all chunks at once, so each chunk more is 1% more of it.

    Args:
        q: [B, H, T, K].
        k: [B, H, T, K].
        v: [B, H, T, V].
        extra: Chunks that are computed twice, of a hundred.
    """
    tokens = q.shape[2]
    q, k, v = (F.pad(x, (0, 0, 0, -tokens % CHUNKS)).unflatten(2, (CHUNKS, -1)) for x in (q, k, v))
    q, k, v = (torch.cat((x, x[:, :, :extra]), 2) for x in (q, k, v))  # [B, H, N, C, D]
    states = k.transpose(-1, -2) @ v  # [B, H, N, K, V], of each chunk alone
    before = states.cumsum(2) - states
    o = (q @ k.transpose(-1, -2)).tril() @ v + q @ before
    return o.flatten(2, 3)[:, :, :tokens]


def slowed(extra: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return the product with so many extra chunks."""

    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Causal product in chunks."""
        return product(q, k, v, extra)

    return call


implementation("injected_slowdowns", "base", layout="BHTD")(slowed(0))
for number in EXTRA_CHUNKS:
    implementation("injected_slowdowns", f"plus_{number}", layout="BHTD")(slowed(number))
