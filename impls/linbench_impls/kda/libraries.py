"""kda/fla-*: kernels of flash-linear-attention, if installed; the recurrent one has no backward."""

from linbench_impls.adapters import fla
from linbench_impls.toolkit.register import register

INPUTS = fla.scaled("q", "k", "v", "g", "beta")
register("kda", "fla-chunk", fla.kernel("kda.chunk_kda", INPUTS, fla.wide_unsupported_reason))
register("kda", "fla-fused-recurrent", fla.recurrent("kda.fused_recurrent_kda", INPUTS, differentiable=False))
