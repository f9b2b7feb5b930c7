"""lightning/fla-* and lightning-attn: kernels of flash-linear-attention and lightning-attn, if installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case, implementation, needs
from linbench_impls.adapters import fla
from linbench_impls.toolkit.register import register

if TYPE_CHECKING:
    from torch import Tensor

INPUTS = fla.scaled("q", "k", "v", "g_gamma")
register(
    "lightning", "fla-chunk", fla.kernel("simple_gla.chunk_simple_gla", INPUTS, fla.chunk_unsupported_reason)
)
register("lightning", "fla-fused-recurrent", fla.recurrent("simple_gla.fused_recurrent_simple_gla", INPUTS))

lightning_needs = needs(
    device="cuda",
    modules=("lightning_attn",),
    dtypes=("float32", "float16", "bfloat16"),
    at_least={"K": 32, "V": 17},
)


def unsupported_reason(case: Case) -> str | None:
    """Return why lightning-attn does not support a case: its kernel needs slices of K of size 2^n."""
    reason = lightning_needs(case)
    if reason is None and (case.K % 64 if case.K > 128 else case.K & (case.K - 1)):
        return f"supports K = 32 and multiples of 64, not {case.K}"
    return reason


@implementation("lightning", "lightning-attn", layout="BHTD", unsupported_reason=unsupported_reason)
def lightning_attn(q: Tensor, k: Tensor, v: Tensor, log_gamma: Tensor) -> Tensor:
    """lightning-attn's lightning_attn_func; it has no scale, so torch scales q."""
    from lightning_attn.ops import lightning_attn_func

    o: Tensor = lightning_attn_func(q * q.shape[-1] ** -0.5, k, v, -log_gamma)
    return o
