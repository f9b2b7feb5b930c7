"""The dtype of exponents, sums and states."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def accumulation_dtype(x: Tensor) -> torch.dtype:
    """Return float32, or float64 for a float64 tensor."""
    import torch

    return torch.promote_types(x.dtype, torch.float32)
