"""The forms of linear attention with any feature map."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.families.features.map import FeatureMap, features
from linbench_impls.toolkit import flops, normalizer
from linbench_impls.toolkit.register import Form, State, float32_form
from linbench_impls.toolkit.transition import SCALAR_CHUNK

if TYPE_CHECKING:
    from torch import Tensor

Attend = Callable[["Tensor", "Tensor", "Tensor", State | None], tuple["Tensor", State]]
"""attend(phi(q), phi(k), v, state) -> output, state after the last token."""


def naive(feature_map: FeatureMap) -> Form:
    """Return the parallel form with a feature map."""
    return _form(feature_map, _parallel, parallel_flops, score_bytes)


def chunked(feature_map: FeatureMap) -> Form:
    """Return the chunked form with a feature map."""
    return _form(feature_map, _chunked, chunk_flops, chunk_bytes)


def recurrent(feature_map: FeatureMap) -> Form:
    """Return the recurrent form with a feature map."""
    return _form(feature_map, _recurrent, step_flops, step_bytes)


def _form(
    feature_map: FeatureMap,
    attend: Attend,
    attend_flops: Callable[[Case], float],
    extra_bytes: Callable[[Case], float],
) -> Form:
    """Return a form that applies the feature map to q and k and then attends."""

    def compute(
        q: Tensor, k: Tensor, v: Tensor, *parameters: Tensor, state: State | None
    ) -> tuple[Tensor, State]:
        q, k = (feature_map.phi(x, *parameters) for x in (q, k))
        return attend(q, k, v, state)

    compute.__doc__ = attend.__doc__
    return float32_form(
        compute,
        layout="BHTD",
        flops=lambda case: feature_map.flops(case) + attend_flops(case),
        extra_bytes=extra_bytes,
    )


def _parallel(q: Tensor, k: Tensor, v: Tensor, state: State | None) -> tuple[Tensor, State]:
    """Parallel form in torch: tril(phi(Q) phi(K)^T) V, rows normalised; quadratic in T; in float32."""
    return normalizer.parallel(q, k, v, True, state), normalizer.last_state(k, v, state)


def _chunked(q: Tensor, k: Tensor, v: Tensor, state: State | None) -> tuple[Tensor, State]:
    """Chunked form in torch; O(T) time and memory; in float32."""
    return normalizer.chunked(q, k, v, state)


def _recurrent(q: Tensor, k: Tensor, v: Tensor, state: State | None) -> tuple[Tensor, State]:
    """Recurrent form in torch: one step per token; in float32."""
    return normalizer.recurrent(q, k, v, state)


def parallel_flops(case: Case) -> float:
    """Return the operations of the full products and of the last state, without those of the feature map."""
    M = features(case)
    return flops.parallel(case, M, case.V) + flops.last_state(case, M, case.V)


def score_bytes(case: Case) -> float:
    """Return the bytes of the T x T scores and their saved copies, and of features."""
    copies = 4 if case.mode == "fwd_bwd" else 2
    tokens = case.tokens // case.B
    return max(4, case.item_bytes) * case.tokens * case.H * (copies * tokens + 6 * features(case))


def chunk_flops(case: Case) -> float:
    """Return the operations of the chunked form, including the masked half of a chunk."""
    return flops.chunked(case, features(case), case.V + 1, SCALAR_CHUNK)


def chunk_bytes(case: Case) -> float:
    """Return the bytes of features, scores and states at chunk ends."""
    M = features(case)
    per_token = 6 * M + 4 * SCALAR_CHUNK + 3 * M * case.V / SCALAR_CHUNK + 3 * case.V
    width = max(4, case.item_bytes)
    return width * case.tokens * case.H * per_token * (2 if case.mode == "fwd_bwd" else 1)


def step_flops(case: Case) -> float:
    """Return the operations of T steps, or of one in decode."""
    return flops.recurrent(case, features(case), case.V + 1)


def step_bytes(case: Case) -> float:
    """Return the bytes of features, and of the states saved for backward, four per token."""
    M = features(case)
    states = 4 * M * case.V if case.mode == "fwd_bwd" else 0
    return max(4, case.item_bytes) * case.tokens * case.H * (6 * M + 3 * case.V + states)
