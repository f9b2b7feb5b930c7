"""linear/naive: the parallel form, quadratic in T."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.linear.feature_map import feature_map as apply_map
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.normalizer import State, last_state, parallel
from linbench_impls.toolkit.register import Form, register

if TYPE_CHECKING:
    from torch import Tensor


def score_bytes(case: Case) -> float:
    """Return the bytes of the T x T scores and their saved copies."""
    copies = 4 if case.mode == "fwd_bwd" else 2
    return copies * case.B * case.H * case.T**2 * case.item_bytes


def quadratic_flops(case: Case) -> float:
    """Return the operations of the full products with the masked half, and of prefill's last state."""
    products = flops.parallel(case, case.K, case.V)
    return products + flops.last_state(case, case.K, case.V) if case.mode == "prefill" else products


def naive(q: Tensor, k: Tensor, v: Tensor, *, feature_map: str = "elu1", normalize: bool = True) -> Tensor:
    """Parallel form in torch: tril(phi(Q) phi(K)^T) V, rows normalised; quadratic in T.

    Scores are in the input dtype, their row sums in float32.
    """
    q, k = (apply_map(x, feature_map) for x in (q, k))
    return parallel(q, k, v, normalize)


def prefill(
    q: Tensor, k: Tensor, v: Tensor, *, feature_map: str = "elu1", normalize: bool = True
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token, with one product over all tokens."""
    q, k = (apply_map(x, feature_map) for x in (q, k))
    return parallel(q, k, v, normalize), last_state(k, v)


register(
    "linear",
    "naive",
    Form(naive, prefill, layout="BHTD", flops=quadratic_flops, extra_bytes=score_bytes),
)
