"""gated_delta/chunk and gated_delta/recurrent, in torch."""

from linbench_impls.families.dplr.forms import chunked, recurrent
from linbench_impls.gated_delta.operator import GatedDelta
from linbench_impls.toolkit.register import register

register("gated_delta", "chunk", chunked(GatedDelta.parametrization))
register("gated_delta", "recurrent", recurrent(GatedDelta.parametrization))
