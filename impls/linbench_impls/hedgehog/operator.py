"""Operator hedgehog: two softmaxes of a learned projection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from linbench import TensorSpec, operator
from linbench.core.case import Scalar
from linbench_impls.families.features.map import FeatureMap, features
from linbench_impls.families.features.operator import FeatureMapOperator, fan_in
from linbench_impls.toolkit.recurrence import QKV
from linbench_impls.toolkit.spec import SizedSpec

if TYPE_CHECKING:
    from torch import Generator, Tensor


def phi(x: Tensor, w: Tensor) -> Tensor:
    """Return [softmax(W x); softmax(-W x)], [B, H, T, M]; W: [H, M / 2, K]. Each half sums to 1."""
    import torch

    y = x @ w.transpose(-1, -2)
    return torch.cat([y.softmax(-1), (-y).softmax(-1)], -1)


@operator
class Hedgehog(FeatureMapOperator):
    """Hedgehog features as defined in LoLCATs.

    phi(x) = [softmax(W x); softmax(-W x)], two softmaxes; one softmax over [2 W x; -2 W x] is a different
    function. W: [H, M / 2, K], normal with variance 1 / K. The weights are not trained to approximate
    softmax, so the approximation error is that of a random map. Otherwise as in `FeatureMapOperator`.
    """

    name = "hedgehog"
    title = "Linear attention with softmax features of a learned projection"
    source = "Zhang et al. 2024, LoLCATs, arXiv:2410.10254; The Hedgehog & the Porcupine, arXiv:2402.04347"
    inputs = (*QKV, SizedSpec("w", "HFK", sizes={"F": lambda case: features(case) // 2}))
    feature_map = FeatureMap(phi, per_row=2)

    def draw(
        self, spec: TensorSpec, shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]
    ) -> Tensor:
        """Return random q, k and v, and weights."""
        return fan_in(shape, generator) if spec.name == "w" else super().draw(spec, shape, generator, options)
