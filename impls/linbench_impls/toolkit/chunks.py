"""Chunks of a sequence: how it is cut, and products whose weights are exponents of differences of gates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def cut(tensors: tuple[Tensor, ...], size: int) -> Iterator[Tensor]:
    """Yield each tensor [B, H, T, D] as chunks [B, H, N, C, D], zeros after the last token."""
    import torch.nn.functional as F

    for x in tensors:
        yield F.pad(x, (0, 0, 0, -x.shape[2] % size)).unflatten(2, (-1, size))


def joined(x: Tensor, tokens: int) -> Tensor:
    """Return chunks [B, H, N, C, D] as a sequence of T tokens, [B, H, T, D]."""
    return x.flatten(2, 3)[:, :, :tokens]


def products(x: Tensor, y: Tensor, cx: Tensor, cy: Tensor, diagonal: int = 0) -> Tensor:
    """Return P_ts = sum_d x_td y_sd exp(cx_td - cy_sd) for s <= t + diagonal, else 0; [..., C, C].

    The exponent is taken of the difference, which is never above 0 for running sums of log-decays, so that
    nothing overflows whatever the gates are. One gate a token costs C x C exponents, one for each d
    C x C x D of them.

    Args:
        x: [..., C, D].
        y: [..., C, D].
        cx: Running sum of log-decays up to where x stands, [..., C, 1] or [..., C, D].
        cy: The same of y.
        diagonal: 0: a token sees itself; -1: it sees those before it.
    """
    import torch

    size = x.shape[-2]
    future = torch.ones(size, size, dtype=torch.bool, device=x.device).triu(1 + diagonal)
    gaps = cx.unsqueeze(-2) - cy.unsqueeze(-3)  # [..., C, C, 1 or D]
    weights = gaps.masked_fill(future[..., None], -math.inf).exp()
    if weights.shape[-1] == 1:
        return (x @ y.transpose(-1, -2)) * weights.squeeze(-1)
    return (weights * x.unsqueeze(-2) * y.unsqueeze(-3)).sum(-1)
