"""mlstm/recurrent: the definition, one token at a time."""

from linbench import Case
from linbench_impls.mlstm.forms import recurrent
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.register import register
from linbench_impls.toolkit.transition import step_bytes


def step_flops(case: Case) -> float:
    """Return the operations of T steps, of one in decode."""
    return flops.recurrent(case, case.K, case.V, gated=True)


register("mlstm", "recurrent", recurrent, layout="BHTD", flops=step_flops, extra_bytes=step_bytes)
