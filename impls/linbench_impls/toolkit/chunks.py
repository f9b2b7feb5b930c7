"""Splitting of a sequence into chunks, and products weighted by exponents of differences of gates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def split_into_chunks(tensors: tuple[Tensor, ...], size: int) -> Iterator[Tensor]:
    """Yield each tensor [B, H, T, D] as chunks [B, H, N, C, D], padded with zeros after the last token."""
    import torch.nn.functional as F

    for x in tensors:
        yield F.pad(x, (0, 0, 0, -x.shape[2] % size)).unflatten(2, (-1, size))


def join_chunks(x: Tensor, tokens: int) -> Tensor:
    """Return the sequence [B, H, T, D] of chunks [B, H, N, C, D], without padding."""
    return x.flatten(2, 3)[:, :, :tokens]


def products(x: Tensor, y: Tensor, cx: Tensor, cy: Tensor, diagonal: int = 0) -> Tensor:
    """Return P_ts = sum_d x_td y_sd exp(cx_td - cy_sd) for s <= t + diagonal, else 0; [..., C, C].

    The exponent is computed from the difference, which is never above 0 for running sums of log-decays, so
    nothing overflows, whatever the gates are. One gate per token costs C x C exponents, one gate per
    dimension d costs C x C x D.

    Args:
        x: [..., C, D].
        y: [..., C, D].
        cx: Running sum of log-decays up to the position of x, [..., C, 1] or [..., C, D].
        cy: Running sum of log-decays up to the position of y, in the same shape.
        diagonal: 0: a token sees itself and the tokens before it; -1: only the tokens before it.
    """
    import torch

    size = x.shape[-2]
    future = torch.ones(size, size, dtype=torch.bool, device=x.device).triu(1 + diagonal)
    gaps = cx.unsqueeze(-2) - cy.unsqueeze(-3)  # [..., C, C, 1 or D]
    weights = gaps.masked_fill(future[..., None], -math.inf).exp()
    if weights.shape[-1] == 1:
        return (x @ y.transpose(-1, -2)) * weights.squeeze(-1)
    return (weights * x.unsqueeze(-2) * y.unsqueeze(-3)).sum(-1)
