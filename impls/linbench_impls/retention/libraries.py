"""retention/fla-*: kernels of flash-linear-attention, if installed; they are those of its retention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import implementation
from linbench_impls.adapters import fla
from linbench_impls.toolkit.register import register

if TYPE_CHECKING:
    from torch import Tensor

INPUTS = fla.scaled("q", "k", "v", "g_gamma")
register(
    "retention", "fla-chunk", fla.kernel("simple_gla.chunk_simple_gla", INPUTS, fla.chunk_unsupported_reason)
)
register(
    "retention",
    "fla-fused-chunk",
    fla.kernel("simple_gla.fused_chunk_simple_gla", INPUTS, fla.unsupported_reason),
)
register("retention", "fla-fused-recurrent", fla.recurrent("simple_gla.fused_recurrent_simple_gla", INPUTS))


@implementation("retention", "fla-parallel", unsupported_reason=fla.unsupported_reason)
def parallel(q: Tensor, k: Tensor, v: Tensor, log_gamma: Tensor) -> Tensor:
    """flash-linear-attention's parallel_simple_gla, quadratic in T."""
    return fla.parallel(q, k, v, log_gamma.expand(q.shape[:3]))
