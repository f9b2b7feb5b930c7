"""sliding_window/flash, efficient, cudnn and math: torch's SDPA with a band mask, each backend forced."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

from linbench import Case, implementation
from linbench.core.implementation import WhyNot
from linbench_impls.adapters.sdpa import BACKENDS, attend, mask_why_not, score_bytes, whole_flops
from linbench_impls.sliding_window.operator import WINDOW

if TYPE_CHECKING:
    import torch
    from torch import Tensor

DEFAULT = int(WINDOW.default)


@lru_cache(maxsize=1)
def band(tokens: int, window: int, device: torch.device) -> Tensor:
    """Return which rows see which columns, [T, T], bool; made by the first call of a case."""
    import torch

    return torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril().triu(1 - window)


def register(name: str, backend: str, rule: WhyNot) -> None:
    """Register the implementation of one backend."""

    def fwd(q: Tensor, k: Tensor, v: Tensor, *, window: int = DEFAULT) -> Tensor:
        return attend(backend, q, k, v, seen=band(q.shape[2], window, q.device))

    def why_not(case: Case) -> str | None:
        return mask_why_not(name, case) or rule(case)

    fwd.__doc__ = (
        f"torch's scaled_dot_product_attention with a mask of the band, {backend} forced; O(T^2) time."
    )
    implementation(
        "sliding_window",
        name,
        layout="BHTD",
        why_not=why_not,
        flops=partial(whole_flops, name),  # a mask skips no pair
        extra_bytes=score_bytes if name == "math" else None,
    )(fwd)


for _name, (_backend, _rule) in BACKENDS.items():
    register(_name, _backend, _rule)
