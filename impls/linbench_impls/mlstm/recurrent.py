"""mlstm/recurrent: the definition, one token at a time."""

from linbench import Case
from linbench_impls.forms import flops
from linbench_impls.forms.dplr import step_bytes
from linbench_impls.forms.register import register
from linbench_impls.mlstm.forms import recurrent


def step_flops(case: Case) -> float:
    """Return the operations of T steps, of one in decode."""
    return flops.recurrent(case, case.K, case.V, gated=True)


register("mlstm", "recurrent", recurrent, layout="BHTD", flops=step_flops, extra_bytes=step_bytes)
