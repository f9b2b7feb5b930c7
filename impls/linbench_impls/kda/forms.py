"""kda/chunk and kda/recurrent, in torch."""

from linbench_impls.families.dplr.forms import chunked, recurrent
from linbench_impls.kda.operator import KDA
from linbench_impls.toolkit.register import register

register("kda", "chunk", chunked(KDA.parametrization))
register("kda", "recurrent", recurrent(KDA.parametrization))
