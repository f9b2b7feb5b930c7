"""simple_gla/naive, simple_gla/chunk and simple_gla/recurrent, in torch."""

from linbench_impls.families.decay.forms import chunked, naive, recurrent
from linbench_impls.toolkit.register import register

register("simple_gla", "naive", naive)
register("simple_gla", "chunk", chunked)
register("simple_gla", "recurrent", recurrent(gated=True))
