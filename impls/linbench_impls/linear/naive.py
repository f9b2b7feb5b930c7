"""linear/naive: the parallel form, quadratic in T."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case, implementation
from linbench_impls.linear import mathematics

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", "Tensor"]


def score_bytes(case: Case) -> float:
    """Return the bytes of the T x T scores and of what is kept of them."""
    copies = 4 if case.mode == "fwd_bwd" else 2
    return copies * case.B * case.H * case.T**2 * case.item_bytes


def quadratic_flops(case: Case) -> float:
    """Return the operations of the full products; the masked half is computed too."""
    return 2 * case.B * case.H * case.T**2 * (case.K + case.V)


@implementation("linear", "naive", layout="BHTD", flops=quadratic_flops, extra_bytes=score_bytes)
def naive(q: Tensor, k: Tensor, v: Tensor, *, feature_map: str = "elu1", normalize: bool = True) -> Tensor:
    """Parallel form: tril(phi(Q) phi(K)^T) V, rows normalised; quadratic in T.

    Scores are kept in the input dtype, their row sums in float32.
    """
    q, k = (mathematics.feature_map(x, feature_map) for x in (q, k))
    return attend(q, k, v, normalize)


@naive.mode("prefill")
def prefill(
    q: Tensor, k: Tensor, v: Tensor, *, feature_map: str = "elu1", normalize: bool = True
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token, by one product over all tokens."""
    q, k = (mathematics.feature_map(x, feature_map) for x in (q, k))
    exact = mathematics.sum_dtype(k)
    S = k.transpose(-1, -2).to(exact) @ v.to(exact)  # [B, H, K, V]
    return attend(q, k, v, normalize), (S, k.sum(-2, dtype=exact))


def attend(q: Tensor, k: Tensor, v: Tensor, normalize: bool) -> Tensor:
    """Return the output of phi(Q) and phi(K), [B, H, T, K]."""
    scores = (q @ k.transpose(-1, -2)).tril()  # [B, H, T, T]
    o = scores @ v
    if normalize:
        rows = scores.sum(-1, keepdim=True, dtype=mathematics.sum_dtype(q))
        o = (o / (rows + mathematics.EPSILON)).to(v.dtype)
    return o
