"""gated_delta/fla-*: kernels of flash-linear-attention, if installed; the recurrent one has no backward."""

from linbench_impls.adapters import fla
from linbench_impls.toolkit.register import register

INPUTS = fla.scaled("q", "k", "v", "g", "beta")
register(
    "gated_delta",
    "fla-chunk",
    fla.kernel("gated_delta_rule.chunk_gated_delta_rule", INPUTS, fla.wide_unsupported_reason),
)
register(
    "gated_delta",
    "fla-fused-recurrent",
    fla.recurrent("gated_delta_rule.fused_recurrent_gated_delta_rule", INPUTS, differentiable=False),
)
