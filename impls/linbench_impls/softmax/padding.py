"""Padding of keys: how long each sequence is, and which keys are padding."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def lengths(batch: int, tokens: int, share: float) -> list[int]:
    """Return the tokens of each sequence that are not padding: of every second the last share is."""
    return [tokens - int(tokens * share) * (sequence % 2) for sequence in range(batch)]


@lru_cache(maxsize=1)
def visible(batch: int, tokens: int, share: float, device: torch.device) -> Tensor:
    """Return the keys that are not padding, [B, T], bool; made once a shape, by the first call of a case."""
    import torch

    ends = torch.tensor(lengths(batch, tokens, share), device=device)
    return torch.arange(tokens, device=device) < ends[:, None]
