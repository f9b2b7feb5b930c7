"""FeatureMap: phi, with which linear attention approximates softmax, and the number of features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from linbench import Case, Option
from linbench_impls.toolkit import flops

if TYPE_CHECKING:
    from torch import Tensor

FEATURES = Option(64, (16, 32, 64, 128, 256), "features per query and key", of_inputs=True)


def features(case: Case) -> int:
    """Return the number of features at a case."""
    return int(case.options.get("features", FEATURES.default))


@dataclass(frozen=True)
class FeatureMap:
    """A map of queries and keys to M features, with a product with weights.

    Attributes:
        phi: Function phi(x, *parameters) from x [B, H, T, K] to features [B, H, T, M].
        per_row: Number of features per row of the weights.
        learned: Whether the weights have a gradient.
    """

    phi: Callable[..., Tensor]
    per_row: int = 1
    learned: bool = True

    def flops(self, case: Case) -> float:
        """Return the operations of phi(Q) and phi(K), the products with the weights."""
        passes = flops.passes(case) - (not self.learned and flops.has_backward(case))
        return 4 * case.tokens * case.H * case.K * (features(case) // self.per_row) * passes
