"""softmax/varlen: torch's varlen_attn, its flash-attn for varlen sequences."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, cast

from linbench import Case, implementation
from linbench_impls.adapters.flash import Flash
from linbench_impls.toolkit.varlen import lengths, starts

if TYPE_CHECKING:
    from torch import Tensor

torch_flash = Flash("torch.nn.attention.varlen", (8, 0))


def unsupported_reason(case: Case) -> str | None:
    """Return why torch's varlen_attn does not support a case: it needs one row and a recent torch."""
    reason = torch_flash.unsupported_reason(case)
    if reason is None and case.B > 1:
        return f"supports one row of tokens, B = 1, not {case.B}"
    if reason is None:
        from torch.nn.attention.varlen import varlen_attn

        if "window_size" not in inspect.signature(varlen_attn).parameters:
            return "needs a newer torch, whose varlen_attn has the parameter window_size"
    return reason


@implementation("softmax", "varlen", unsupported_reason=unsupported_reason)
def varlen(
    q: Tensor, k: Tensor, v: Tensor, *, causal: bool = True, group: int = 1, varlen: int = 1
) -> Tensor:
    """torch.nn.attention.varlen.varlen_attn; half types on CUDA."""
    import torch
    from torch.nn.attention.varlen import varlen_attn

    tokens = q.shape[1]
    edges, longest = starts(tokens, varlen, q.device, torch.int32), max(lengths(tokens, varlen))
    o = varlen_attn(
        q.squeeze(0),
        k.squeeze(0),
        v.squeeze(0),
        edges,
        edges,
        longest,
        longest,
        window_size=(-1, 0 if causal else -1),
        enable_gqa=group > 1,
    )
    return cast("Tensor", o)[None]  # without return_aux it returns one tensor
