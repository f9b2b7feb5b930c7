"""retention/naive, retention/chunk and retention/recurrent, in torch."""

from linbench_impls.families.decay.forms import chunked, naive, recurrent
from linbench_impls.toolkit.register import register

register("retention", "naive", naive)
register("retention", "chunk", chunked)
register("retention", "recurrent", recurrent(gated=False))
