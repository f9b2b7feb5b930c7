"""log_linear/naive: the parallel form, quadratic in T."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case, implementation
from linbench_impls.log_linear.forms import parallel
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.dtype import exact_dtype

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]


def quadratic_flops(case: Case) -> float:
    """Return the operations of the full products and of the last state; the masked half is computed too."""
    return flops.parallel(case, case.K, case.V) + flops.last_state(case, case.K, case.V)


def score_bytes(case: Case) -> float:
    """Return the bytes of scores, decays, levels and weights."""
    copies = 8 if case.mode == "fwd_bwd" else 5
    return copies * case.B * case.H * case.T**2 * max(4, case.item_bytes)


@implementation("log_linear", "naive", layout="BHTD", flops=quadratic_flops, extra_bytes=score_bytes)
def naive(q: Tensor, k: Tensor, v: Tensor, g: Tensor, lam: Tensor) -> Tensor:
    """Parallel form: (Q K^T * decays * lambda by level) V; quadratic in T; in float32."""
    return prefill(q, k, v, g, lam)[0]


@naive.mode("prefill")
def prefill(q: Tensor, k: Tensor, v: Tensor, g: Tensor, lam: Tensor) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    exact = exact_dtype(q)
    o, state = parallel(*(x.to(exact) for x in (q, k, v, g, lam)))
    return o.to(v.dtype), state
