"""gla/fla-*: kernels of flash-linear-attention, if installed."""

from linbench_impls.adapters import fla

fla.register("gla", "fla-chunk", "gla.chunk_gla", fla.scaled("q", "k", "v", "g"), fla.chunk_why_not)
fla.register_recurrent("gla", "gla.fused_recurrent_gla", fla.scaled("q", "k", "v", "gk"))
