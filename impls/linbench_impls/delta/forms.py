"""delta/chunk and delta/recurrent, in torch."""

from linbench_impls.delta.operator import Delta
from linbench_impls.families.dplr.forms import chunked, recurrent
from linbench_impls.toolkit.register import register

register("delta", "chunk", chunked(Delta.parametrization))
register("delta", "recurrent", recurrent(Delta.parametrization))
