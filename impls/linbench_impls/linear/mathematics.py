"""What the torch forms of linear attention share: feature maps, the denominator, where sums are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

EPSILON = 1e-6
FEATURE_MAPS = ("elu1", "relu", "identity")


def feature_map(x: Tensor, name: str) -> Tensor:
    """Return phi(x) element by element: elu(x) + 1, max(x, 0) or x.

    Raises:
        ValueError: The name is none of `FEATURE_MAPS`.
    """
    import torch.nn.functional as F

    if name == "elu1":
        return F.elu(x) + 1
    if name == "relu":
        return F.relu(x)
    if name == "identity":
        return x
    raise ValueError(f"feature_map {name!r} is not one of {', '.join(FEATURE_MAPS)}")


def sum_dtype(x: Tensor) -> torch.dtype:
    """Return the type in which sums over tokens are kept: float32, or float64 for float64 inputs."""
    import torch

    return torch.promote_types(x.dtype, torch.float32)
