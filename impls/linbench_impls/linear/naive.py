"""linear/naive: the parallel form, quadratic in T."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case, implementation
from linbench_impls.linear import mathematics
from linbench_impls.toolkit import flops

if TYPE_CHECKING:
    from torch import Tensor


def score_bytes(case: Case) -> float:
    """Return the bytes of the T x T scores and of what is kept of them."""
    copies = 4 if case.mode == "fwd_bwd" else 2
    return copies * case.B * case.H * case.T**2 * case.item_bytes


def quadratic_flops(case: Case) -> float:
    """Return the operations of the full products, the masked half too, and in prefill of the last state."""
    products = flops.parallel(case, case.K, case.V)
    return products + flops.last_state(case, case.K, case.V) if case.mode == "prefill" else products


@implementation("linear", "naive", layout="BHTD", flops=quadratic_flops, extra_bytes=score_bytes)
def naive(q: Tensor, k: Tensor, v: Tensor, *, feature_map: str = "elu1", normalize: bool = True) -> Tensor:
    """Parallel form: tril(phi(Q) phi(K)^T) V, rows normalised; quadratic in T.

    Scores are kept in the input dtype, their row sums in float32.
    """
    q, k = (mathematics.feature_map(x, feature_map) for x in (q, k))
    return mathematics.parallel(q, k, v, normalize)


@naive.mode("prefill")
def prefill(
    q: Tensor, k: Tensor, v: Tensor, *, feature_map: str = "elu1", normalize: bool = True
) -> tuple[Tensor, mathematics.State]:
    """Return the output and the state after the last token, by one product over all tokens."""
    q, k = (mathematics.feature_map(x, feature_map) for x in (q, k))
    return mathematics.parallel(q, k, v, normalize), mathematics.last_state(k, v)
