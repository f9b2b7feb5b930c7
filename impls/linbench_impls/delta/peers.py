"""delta/fla-*: kernels of flash-linear-attention, if installed; its chunk kernels take half types only."""

from linbench_impls.adapters import fla

INPUTS = fla.scaled("q", "k", "v", "beta")
fla.register("delta", "fla-chunk", "delta_rule.chunk_delta_rule", INPUTS, fla.half_wide_why_not)
fla.register_recurrent("delta", "delta_rule.fused_recurrent_delta_rule", INPUTS)
