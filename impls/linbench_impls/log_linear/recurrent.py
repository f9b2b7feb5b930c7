"""log_linear/recurrent: one token at a time over the states of all levels."""

from linbench import Case
from linbench_impls.forms.register import register
from linbench_impls.log_linear.forms import recurrent
from linbench_impls.log_linear.operator import state_levels


def step_flops(case: Case) -> float:
    """Return the operations of T steps, of one in decode; every level is read and merged, empty or not."""
    return case.tokens * case.H * case.K * case.V * (4 + 8 * state_levels(case))


def extra_bytes(case: Case) -> float:
    """Return the bytes of the states of all levels, of every token in fwd_bwd."""
    kept = 5 * case.tokens if case.mode == "fwd_bwd" else 5 * case.B
    return max(4, case.item_bytes) * kept * case.H * case.K * case.V * state_levels(case)


register("log_linear", "recurrent", recurrent, layout="BHTD", flops=step_flops, extra_bytes=extra_bytes)
