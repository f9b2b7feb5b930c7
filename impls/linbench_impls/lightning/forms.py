"""lightning/naive, lightning/chunk and lightning/recurrent, in torch."""

from linbench_impls.families.decay.forms import chunked, naive, recurrent
from linbench_impls.toolkit.register import register

register("lightning", "naive", naive)
register("lightning", "chunk", chunked)
register("lightning", "recurrent", recurrent(gated=False))
