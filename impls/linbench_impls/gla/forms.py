"""gla/chunk and gla/recurrent, in torch."""

from linbench_impls.families.dplr.forms import chunked, recurrent
from linbench_impls.gla.operator import GLA
from linbench_impls.toolkit.register import register

register("gla", "chunk", chunked(GLA.parametrization))
register("gla", "recurrent", recurrent(GLA.parametrization))
