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
    """Return the form of a flash-attn version; its window excludes the own key, its scale is K^-1/2."""

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
    """Return why NATTEN does not support a case: the window must not be longer than the sequence."""
    reason = natten_needs(case)
    if reason is None and window(case) > case.T:
        return f"supports T from the window, {window(case)}, not {case.T}"
    return reason


@implementation("sliding_window", "natten", unsupported_reason=natten_unsupported_reason)
def natten(q: Tensor, k: Tensor, v: Tensor, *, window: int = DEFAULT) -> Tensor:
    """NATTEN's na1d, causal, with a window that ends at the token's own key; even sizes from NATTEN 0.20."""
    from natten import na1d

    o: Tensor = na1d(q, k, v, kernel_size=window, is_causal=True)
    return o


@implementation("sliding_window", "flex", layout="BHTD", unsupported_reason=flex.unsupported_reason)
def flexible(q: Tensor, k: Tensor, v: Tensor, *, window: int = DEFAULT) -> Tensor:
    """PyTorch's flex_attention with a block mask of the band; compiled once per shape."""
    return flex.compiled()(q, k, v, block_mask=blocks(q.shape[2], window, q.device))


@lru_cache(maxsize=1)
def blocks(tokens: int, size: int, device: torch.device) -> Any:
    """Return the block mask for T tokens that each see the last `size` keys."""
    import torch

    def is_visible(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        return flex.is_causal(batch, head, row, column) & (row - column < size)

    rows = torch.arange(tokens, device=device)
    return flex.block_mask((rows - size + 1).clamp_min(0), rows, is_visible)
