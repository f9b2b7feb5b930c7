"""Operator t2r: ReLU features of a learned projection."""

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


def phi(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Return relu(W x + b), [B, H, T, M]; W: [H, M, K], b: [H, M]."""
    return (x @ w.transpose(-1, -2) + b[:, None]).relu()


@operator
class T2R(FeatureMapOperator):
    """Features of T2R.

    phi(x) = relu(W x + b); W: [H, M, K] and b: [H, M], normal with variance 1 / K and 1 / M. The weights are
    not trained to approximate softmax, so the approximation error is that of a random map. Otherwise as in
    `FeatureMapOperator`.
    """

    name = "t2r"
    title = "Linear attention with ReLU features of a learned projection"
    source = "Kasai et al. 2021, Finetuning Pretrained Transformers into RNNs, arXiv:2103.13076"
    inputs = (
        *QKV,
        SizedSpec("w", "HMK", sizes={"M": features}),
        SizedSpec("b", "HM", sizes={"M": features}),
    )
    feature_map = FeatureMap(phi)

    def draw(
        self, spec: TensorSpec, shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]
    ) -> Tensor:
        """Return random q, k and v, and weights."""
        if spec.name in ("w", "b"):
            return fan_in(shape, generator)
        return super().draw(spec, shape, generator, options)
