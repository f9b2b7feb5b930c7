"""gla/fla-*: kernels of flash-linear-attention, if installed."""

from linbench_impls.adapters import fla
from linbench_impls.toolkit.register import register

register(
    "gla",
    "fla-chunk",
    fla.kernel("gla.chunk_gla", fla.scaled("q", "k", "v", "g"), fla.chunk_unsupported_reason),
)
register(
    "gla", "fla-fused-recurrent", fla.recurrent("gla.fused_recurrent_gla", fla.scaled("q", "k", "v", "gk"))
)
