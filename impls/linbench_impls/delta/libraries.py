"""delta/fla-*: kernels of flash-linear-attention, if installed; its chunk kernels need half types."""

from linbench_impls.adapters import fla
from linbench_impls.toolkit.register import register

INPUTS = fla.scaled("q", "k", "v", "beta")
register(
    "delta", "fla-chunk", fla.kernel("delta_rule.chunk_delta_rule", INPUTS, fla.half_wide_unsupported_reason)
)
register("delta", "fla-fused-recurrent", fla.recurrent("delta_rule.fused_recurrent_delta_rule", INPUTS))
