"""transnormer/naive: the parallel form, quadratic in T."""

from linbench import Case
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.register import register
from linbench_impls.transnormer.forms import parallel


def quadratic_flops(case: Case) -> float:
    """Return the operations of the full products and of the last state; the masked half is computed too."""
    return flops.parallel(case, case.K, case.V) + flops.last_state(case, case.K, case.V)


def score_bytes(case: Case) -> float:
    """Return the bytes of the T x T scores and of what is kept of them."""
    copies = 4 if case.mode == "fwd_bwd" else 2
    tokens = case.tokens // case.B
    return max(4, case.item_bytes) * case.tokens * case.H * (copies * tokens + 4 * case.K)


register("transnormer", "naive", parallel, layout="BHTD", flops=quadratic_flops, extra_bytes=score_bytes)
