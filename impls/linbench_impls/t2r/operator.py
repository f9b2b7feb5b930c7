"""Operator t2r: relu features of a learned projection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from linbench import TensorSpec, operator
from linbench.core.case import Scalar
from linbench_impls.families.features.map import FeatureMap, features
from linbench_impls.families.features.operator import FeatureMapped, fan_in
from linbench_impls.toolkit.recurrence import QKV
from linbench_impls.toolkit.spec import SizedSpec

if TYPE_CHECKING:
    from torch import Generator, Tensor


def phi(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Return relu(W x + b), [B, H, T, M]; W: [H, M, K], b: [H, M]."""
    return (x @ w.transpose(-1, -2) + b[:, None]).relu()


@operator
class T2R(FeatureMapped):
    """Features of T2R.

    phi(x) = relu(W x + b); W: [H, M, K] and b: [H, M], normal of variance 1 / K and 1 / M: weights that have
    not been trained to be like softmax, so that the error of the approximation is that of a random map. The
    rest as in `FeatureMapped`.
    """

    name = "t2r"
    title = "Linear attention with relu features of a learned projection"
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
        """Return random q, k and v, and the weights."""
        if spec.name in ("w", "b"):
            return fan_in(shape, generator)
        return super().draw(spec, shape, generator, options)
