"""retention/fla-*: kernels of flash-linear-attention, if installed; its retention hands them the decays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import implementation
from linbench_impls import fla

if TYPE_CHECKING:
    from torch import Tensor

fla.register("retention", "fla-chunk", "chunk_simple_gla", "g_gamma", fla.chunk_why_not)
fla.register("retention", "fla-fused-chunk", "fused_chunk_simple_gla", "g_gamma", fla.why_not)
recurrent = fla.register(
    "retention", "fla-fused-recurrent", "fused_recurrent_simple_gla", "g_gamma", fla.why_not
)
recurrent.mode("decode")(recurrent.functions["prefill"])  # a token is a sequence of one


@implementation("retention", "fla-parallel", why_not=fla.why_not)
def parallel(q: Tensor, k: Tensor, v: Tensor, log_gamma: Tensor) -> Tensor:
    """flash-linear-attention's parallel_simple_gla, quadratic in T."""
    return fla.parallel(q, k, v, log_gamma.expand(q.shape[:3]))
