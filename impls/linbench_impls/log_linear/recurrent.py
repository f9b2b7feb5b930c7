"""log_linear/recurrent: one token at a time over the states of all levels."""

from linbench import Case
from linbench_impls.log_linear import flops
from linbench_impls.log_linear.flops import state_levels
from linbench_impls.log_linear.forms import recurrent
from linbench_impls.toolkit.register import exact, register


def extra_bytes(case: Case) -> float:
    """Return the bytes of the states of all levels, of every token in fwd_bwd."""
    kept = 5 * case.tokens if case.mode == "fwd_bwd" else 5 * case.B
    return max(4, case.item_bytes) * kept * case.H * case.K * case.V * state_levels(case)


register(
    "log_linear",
    "recurrent",
    exact(recurrent, layout="BHTD", flops=flops.recurrent, extra_bytes=extra_bytes),
)
