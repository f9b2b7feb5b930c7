"""kda/fla-*: kernels of flash-linear-attention, if installed; the recurrent one has no backward."""

from linbench_impls.adapters import fla

INPUTS = fla.scaled("q", "k", "v", "g", "beta")
fla.register("kda", "fla-chunk", "kda.chunk_kda", INPUTS, fla.wide_why_not)
fla.register_recurrent("kda", "kda.fused_recurrent_kda", INPUTS, differentiable=False)
