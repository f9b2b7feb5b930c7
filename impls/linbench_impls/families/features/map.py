"""FeatureMap: phi, by which linear attention stands in for softmax, and how many features a case asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from linbench import Case, Option
from linbench_impls.toolkit import flops

if TYPE_CHECKING:
    from torch import Tensor

FEATURES = Option(64, (16, 32, 64, 128, 256), "features of each query and key", of_inputs=True)


def features(case: Case) -> int:
    """Return how many features a case asks for."""
    return int(case.options.get("features", FEATURES.default))


@dataclass(frozen=True)
class FeatureMap:
    """A map of queries and keys to M features, by a product with weights.

    Attributes:
        phi: phi(x, *parameters), [B, H, T, M], of x [B, H, T, K].
        per_row: Features that it takes of each row of its weights.
        learned: Whether its weights have a gradient.
    """

    phi: Callable[..., Tensor]
    per_row: int = 1
    learned: bool = True

    def flops(self, case: Case) -> float:
        """Return the operations of phi(Q) and phi(K): products with the weights of the map."""
        passes = flops.passes(case) - (not self.learned and flops.differentiated(case))
        return 4 * case.tokens * case.H * case.K * (features(case) // self.per_row) * passes
