"""Splitting of a sequence into chunks, and products weighted by the decay between two tokens."""

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


def decay_weights(g: Tensor) -> Tensor:
    """Return w_tsd = exp(g_{s+1,d} + ... + g_{t,d}) for s <= t, else 0, [..., C, C, D]; never above 1.

    In float64, the dtype of references, each exponent is summed over its own steps: exponents and the
    gradients of g keep all their digits after a step with a log-decay far below 0, also one of -inf. In
    other dtypes an exponent is the difference of two running sums, as in kernels. One gate per token costs
    C x C exponents, one gate per dimension C x C x D.

    Args:
        g: Log-decays, never above 0, [..., C, 1] or [..., C, D].
    """
    import torch

    size = g.shape[-2]
    future = torch.ones(size, size, dtype=torch.bool, device=g.device).triu(1)[..., None]
    if g.dtype == torch.float64:
        outside = torch.ones(size, size, dtype=torch.bool, device=g.device).triu()[..., None]
        steps = g.unsqueeze(-2).expand(*g.shape[:-1], size, g.shape[-1])
        gaps = steps.masked_fill(outside, 0.0).cumsum(-3)
    else:
        c = g.cumsum(-2)
        gaps = c.unsqueeze(-2) - c.unsqueeze(-3)
    return gaps.masked_fill(future, -math.inf).exp()


def shift_rows(weights: Tensor) -> Tensor:
    """Return the weights up to the token before: row t - 1 in row t, and zeros in the first row."""
    import torch.nn.functional as F

    return F.pad(weights[..., :-1, :, :], (0, 0, 0, 0, 1, 0))


def products(x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Return P_ts = sum_d x_td y_sd w_tsd, [..., C, C].

    Args:
        x: [..., C, D].
        y: [..., C, D].
        weights: w, [..., C, C, 1] or [..., C, C, D].
    """
    if weights.shape[-1] == 1:
        return (x @ y.transpose(-1, -2)) * weights.squeeze(-1)
    return (weights * x.unsqueeze(-2) * y.unsqueeze(-3)).sum(-1)
