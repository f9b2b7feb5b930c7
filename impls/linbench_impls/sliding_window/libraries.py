"""sliding_window/flash-attn-2, flash-attn-3 and natten, if installed, and flex: torch's flex_attention."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from linbench import Case, implementation, needs
from linbench_impls.adapters import flex
from linbench_impls.adapters.flash import FLASH_2, FLASH_3, Flash
from linbench_impls.sliding_window.operator import WINDOW, window
from linbench_impls.toolkit.register import Form, register

if TYPE_CHECKING:
    import torch
    from torch import Tensor

DEFAULT = int(WINDOW.default)


def flash_form(flash: Flash) -> Form:
    """Return the form of a flash-attn; it counts the keys before a token's own, and scales by K^-1/2."""

    def fwd(q: Tensor, k: Tensor, v: Tensor, *, window: int = DEFAULT) -> Tensor:
        library = import_module(flash.module)
        o: Tensor = library.flash_attn_func(q, k, v, causal=True, window_size=(window - 1, 0))
        return o

    fwd.__doc__ = f"{flash.module}.flash_attn_func with a window."
    return Form(fwd, unsupported_reason=flash.unsupported_reason)


register("sliding_window", "flash-attn-2", flash_form(FLASH_2))
register("sliding_window", "flash-attn-3", flash_form(FLASH_3))

natten_needs = needs(
    device="cuda",
    modules=("natten",),
    dtypes=("float32", "float16", "bfloat16"),
    multiple_of={"K": 8, "V": 8},
)


def natten_unsupported_reason(case: Case) -> str | None:
    """Return why NATTEN cannot take a case: its window may be no longer than the row."""
    reason = natten_needs(case)
    if reason is None and window(case) > case.T:
        return f"takes T from the window, {window(case)}, not {case.T}"
    return reason


@implementation("sliding_window", "natten", unsupported_reason=natten_unsupported_reason)
def natten(q: Tensor, k: Tensor, v: Tensor, *, window: int = DEFAULT) -> Tensor:
    """NATTEN's na1d, causal, whose window then ends at a token's own key; even windows from its 0.20."""
    from natten import na1d

    o: Tensor = na1d(q, k, v, kernel_size=window, is_causal=True)
    return o


@implementation("sliding_window", "flex", layout="BHTD", unsupported_reason=flex.unsupported_reason)
def flexible(q: Tensor, k: Tensor, v: Tensor, *, window: int = DEFAULT) -> Tensor:
    """flex_attention of torch, compiled for each shape, its block mask of the band made once a shape."""
    return flex.compiled()(q, k, v, block_mask=blocks(q.shape[2], window, q.device))


@lru_cache(maxsize=1)
def blocks(tokens: int, size: int, device: torch.device) -> Any:
    """Return the block mask of a row of T tokens that see the last `size` keys."""
    import torch

    def seen(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        return flex.is_causal(batch, head, row, column) & (row - column < size)

    at = torch.arange(tokens, device=device)
    return flex.block_mask((at - size + 1).clamp_min(0), at, seen)
