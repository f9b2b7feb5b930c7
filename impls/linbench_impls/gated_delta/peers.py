"""gated_delta/fla-*: kernels of flash-linear-attention, if installed; the recurrent one has no backward."""

from linbench_impls.adapters import fla

INPUTS = fla.scaled("q", "k", "v", "g", "beta")
fla.register("gated_delta", "fla-chunk", "gated_delta_rule.chunk_gated_delta_rule", INPUTS, fla.wide_why_not)
fla.register_recurrent(
    "gated_delta", "gated_delta_rule.fused_recurrent_gated_delta_rule", INPUTS, differentiable=False
)
