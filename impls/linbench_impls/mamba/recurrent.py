"""mamba/recurrent: the definition, one token at a time."""

from linbench import Case
from linbench_impls.mamba.forms import recurrent
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.register import register
from linbench_impls.toolkit.transition import step_bytes


def step_flops(case: Case) -> float:
    """Return the operations of T steps: dt A, the state times its exponent, dt B u, the readout."""
    return flops.recurrent(case, case.K, case.V, products=4, gated=True)


register("mamba", "recurrent", recurrent, layout="TBHD", flops=step_flops, extra_bytes=step_bytes)
