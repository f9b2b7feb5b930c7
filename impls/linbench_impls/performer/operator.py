"""Operator performer: FAVOR+ features from a random orthogonal projection."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from linbench import TensorSpec, operator
from linbench.core.case import Scalar
from linbench.core.tensor import normal
from linbench_impls.families.features.map import FeatureMap, features
from linbench_impls.families.features.operator import FeatureMapOperator
from linbench_impls.toolkit import normalizer
from linbench_impls.toolkit.recurrence import QKV, State
from linbench_impls.toolkit.spec import SizedSpec

if TYPE_CHECKING:
    from torch import Generator, Tensor


def phi(x: Tensor, w: Tensor) -> Tensor:
    """Return FAVOR+'s positive random features, [B, H, T, M].

    phi(x) = M^-1/2 exp(w x' - |x'|^2 / 2), x' = K^-1/4 x; w: [M, K], with orthogonal rows in blocks of K. The
    mean of phi(q) . phi(k) over w is exp(q . k / sqrt(K)).
    """
    x = x * x.shape[-1] ** -0.25
    return (x @ w.transpose(-1, -2) - x.square().sum(-1, keepdim=True) / 2).exp() / math.sqrt(w.shape[-2])


@operator
class Performer(FeatureMapOperator):
    """FAVOR+ of Performer.

    phi(x) = M^-1/2 exp(w x' - |x'|^2 / 2), x' = K^-1/4 x; w: [M, K], shared by all heads, drawn from the
    case's seed: directions are orthogonal in blocks of K rows, lengths are those of normal vectors; w has no
    gradient. Rows are not shifted by their maximum. Otherwise as in `FeatureMapOperator`.
    """

    name = "performer"
    title = "Linear attention with positive random features of softmax (FAVOR+)"
    source = "Choromanski et al. 2020, Rethinking Attention with Performers, arXiv:2009.14794"
    inputs = (*QKV, SizedSpec("w", "MK", differentiable=False, at_least_float32=True, sizes={"M": features}))
    feature_map = FeatureMap(phi, learned=False)

    def draw(
        self, spec: TensorSpec, shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]
    ) -> Tensor:
        """Return random q, k and v, and the projection."""
        return (
            projection(shape, generator)
            if spec.name == "w"
            else super().draw(spec, shape, generator, options)
        )

    def plain(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and final state in float32, with features exp(|w|^2 / 2 - |x' - w|^2 / 2).

        Features have heavy tails: a few tokens dominate a sum, and the rounding of their exponents, which
        grows with |w| |x'|, dominates its error. A difference of squares is rounded like that for every
        token, so the error that sets the tolerance does not depend on the random tokens.
        """
        import torch

        del options
        q, k, v, w = (tensors[spec.name] for spec in self.inputs)
        accumulation = torch.promote_types(q.dtype, torch.float32)
        phi_q, phi_k = (by_distance(x.to(accumulation).transpose(1, 2), w.to(accumulation)) for x in (q, k))
        before = None if state is None else tuple(part.to(accumulation) for part in state)
        o, final = normalizer.chunked(phi_q, phi_k, v.to(accumulation).transpose(1, 2), before)
        return o.transpose(1, 2).to(v.dtype), final


def by_distance(x: Tensor, w: Tensor) -> Tensor:
    """Return the features of x [B, H, T, K], with the exponent as a difference of squares."""
    gap = (x * x.shape[-1] ** -0.25)[..., None, :] - w
    exponent = w.square().sum(-1) / 2 - gap.square().sum(-1) / 2
    phi: Tensor = exponent.exp() * w.shape[-2] ** -0.5
    return phi


def projection(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Return rows [M, K], orthogonal in blocks of K, with the lengths of normal vectors.

    The columns of Q of a QR decomposition take the signs of the diagonal of R: only then is Q uniformly
    distributed over the orthogonal matrices (Mezzadri 2007, arXiv:math-ph/0609050).
    """
    import torch

    rows, keys = shape
    blocks = []
    for _ in range(0, rows, keys):
        Q, R = torch.linalg.qr(normal((keys, keys), generator))
        blocks.append(Q * R.diagonal().sign())
    directions: Tensor = torch.cat(blocks)[:rows]
    lengths: Tensor = normal((rows, keys), generator).norm(dim=-1, keepdim=True)
    return directions * lengths
