"""Padding of keys: the length of each sequence, and the mask of keys that are not padding."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def lengths(batch: int, tokens: int, share: float) -> list[int]:
    """Return the unpadded length of each sequence; every second sequence ends with padding."""
    return [tokens - int(tokens * share) * (sequence % 2) for sequence in range(batch)]


@lru_cache(maxsize=1)
def visible_keys(batch: int, tokens: int, share: float, device: torch.device) -> Tensor:
    """Return the mask of keys that are not padding, [B, T], bool; cached for a case."""
    import torch

    ends = torch.tensor(lengths(batch, tokens, share), device=device)
    return torch.arange(tokens, device=device) < ends[:, None]
