"""rwkv7/chunk and rwkv7/recurrent, in torch."""

from linbench_impls.families.dplr.forms import chunked, recurrent
from linbench_impls.rwkv7.operator import RWKV7
from linbench_impls.toolkit.register import register

register("rwkv7", "chunk", chunked(RWKV7.parametrization))
register("rwkv7", "recurrent", recurrent(RWKV7.parametrization))
