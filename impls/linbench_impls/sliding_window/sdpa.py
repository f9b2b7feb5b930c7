"""sliding_window/flash, efficient, cudnn and math: torch's SDPA with a band mask, one forced backend each."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.adapters.sdpa import BACKENDS, Backend, attend, score_bytes
from linbench_impls.sliding_window.operator import WINDOW
from linbench_impls.toolkit.register import Form, register

if TYPE_CHECKING:
    import torch
    from torch import Tensor

DEFAULT = int(WINDOW.default)


@lru_cache(maxsize=1)
def band(tokens: int, window: int, device: torch.device) -> Tensor:
    """Return the mask of the columns that each row sees, [T, T], bool; cached for a case."""
    import torch

    return torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril().triu(1 - window)


def form(backend: Backend) -> Form:
    """Return the form of a backend with a mask of the band; masked pairs are computed too."""

    def fwd(q: Tensor, k: Tensor, v: Tensor, *, window: int = DEFAULT) -> Tensor:
        return attend(backend, q, k, v, mask=band(q.shape[2], window, q.device))

    def unsupported_reason(case: Case) -> str | None:
        return backend.mask_unsupported_reason(case) or backend.restriction(case)

    fwd.__doc__ = (
        f"torch's scaled_dot_product_attention with a band mask and the {backend.name} backend; O(T^2) time."
    )
    return Form(
        fwd,
        layout="BHTD",
        unsupported_reason=unsupported_reason,
        flops=backend.flops,
        extra_bytes=None if backend.fused else score_bytes,
    )


for _name, _backend in BACKENDS.items():
    register("sliding_window", _name, form(_backend))
