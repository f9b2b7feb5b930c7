"""sliding_window/flash-attn-2 and flash-attn-3, if installed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from linbench import implementation
from linbench_impls import flash
from linbench_impls.sliding_window.operator import WINDOW

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT = int(WINDOW.default)


def register(name: str, module: str, capability: tuple[int, int]) -> None:
    """Register a flash-attn by its module; it counts the keys before a token's own, and scales by K^-1/2."""

    def fwd(q: Tensor, k: Tensor, v: Tensor, *, window: int = DEFAULT) -> Tensor:
        o: Tensor = import_module(module).flash_attn_func(q, k, v, causal=True, window_size=(window - 1, 0))
        return o

    fwd.__doc__ = f"{module}.flash_attn_func with a window."
    implementation("sliding_window", name, why_not=flash.why_not_of(module, capability))(fwd)


for _name, _library in flash.LIBRARIES.items():
    register(_name, *_library)
