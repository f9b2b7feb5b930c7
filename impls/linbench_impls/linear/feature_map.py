"""The elementwise feature maps of linear."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

FEATURE_MAPS = ("elu1", "relu", "identity")


def feature_map(x: Tensor, name: str) -> Tensor:
    """Return phi(x): elu(x) + 1, max(x, 0) or x.

    Raises:
        ValueError: The name is not in `FEATURE_MAPS`.
    """
    import torch.nn.functional as F

    if name == "elu1":
        return F.elu(x) + 1
    if name == "relu":
        return F.relu(x)
    if name == "identity":
        return x
    raise ValueError(f"feature_map {name!r} is not one of {', '.join(FEATURE_MAPS)}")
