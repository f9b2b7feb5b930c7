"""rwkv7/fla-*: kernels of flash-linear-attention, if installed; the recurrent one has no backward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linbench_impls.adapters import fla
from linbench_impls.toolkit.register import register

if TYPE_CHECKING:
    from torch import Tensor


def arguments(q: Tensor, k: Tensor, v: Tensor, g: Tensor, kappa: Tensor, alpha: Tensor) -> dict[str, Any]:
    """Return the library's r, w, k, v, a = -kappa, b = alpha kappa, and scale 1; its default is K^-1/2."""
    return {"r": q, "w": g, "k": k, "v": v, "a": -kappa, "b": alpha * kappa, "scale": 1.0}


register("rwkv7", "fla-chunk", fla.kernel("rwkv7.chunk_rwkv7", arguments, fla.wide_unsupported_reason))
register(
    "rwkv7",
    "fla-fused-recurrent",
    fla.recurrent("rwkv7.fused_recurrent_rwkv7", arguments, differentiable=False),
)
