"""Rows: the errors of rows and of the scale of heads, accumulated over the slices of a tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

FLOOR: Final = 0.1
TOKENS: Final = "TL"
OCTAVES: Final = 11
ZONES: Final = 2 * OCTAVES
"""Zones of the tokens: powers of two of the distance from the first token, and from the last."""


def inner_axes(axes: str) -> tuple[int, ...]:
    """Return the axes within a row: what one token of one head has, or the last axis without tokens."""
    inner = tuple(axis for axis, letter in enumerate(axes) if letter not in "BH" + TOKENS)
    return inner if any(letter in TOKENS for letter in axes) else inner[-1:]


def token_axis(axes: str) -> int | None:
    """Return the axis of the tokens, or None."""
    return next((axis for axis, letter in enumerate(axes) if letter in TOKENS), None)


def zones(positions: Tensor, tokens: int) -> Tensor:
    """Return the zone of each position: how far it is from the nearer end of T tokens, and from which."""
    from_end = tokens - 1 - positions
    distance = torch.minimum(positions, from_end) + 1
    octave = distance.double().log2().floor().long().clamp_max(OCTAVES - 1)
    return 2 * octave + (positions > from_end).long()


def row_norms(values: Tensor, axes: str) -> Tensor:
    """Return the norm of each row; the axes within a row have size 1."""
    inner = inner_axes(axes)
    return values.square().sum(inner, keepdim=True).sqrt() if inner else values.abs()


def row_floor(expected: Tensor, axes: str, zero_rms: float) -> float:
    """Return the least norm by which the error of a row is divided."""
    length = math.prod(expected.shape[axis] for axis in inner_axes(axes))
    return max(FLOOR * float(expected.square().mean().sqrt()), zero_rms) * math.sqrt(length)


def relative_errors(gap: Tensor, expected: Tensor, axes: str, floor: float) -> Tensor:
    """Return the relative L2 error of each row; the axes within a row have size 1."""
    norms = row_norms(gap, axes)
    return norms / row_norms(expected, axes).clamp_min(floor) if floor else norms


@dataclass
class Rows:
    """The largest errors of rows and heads.

    Attributes:
        axes: The letters of the axes.
        floor: Least norm by which the error of a row is divided.
        has_heads: Whether the scale of heads is compared.
    """

    axes: str
    floor: float
    has_heads: bool
    _by_token: list[Tensor] = field(default_factory=list, repr=False)
    _products: Tensor | None = field(default=None, repr=False)
    _squares: Tensor | None = field(default=None, repr=False)

    @classmethod
    def of(cls, expected: Tensor, axes: str, zero_rms: float) -> Rows | None:
        """Return empty sums for a tensor with these axes; None if it has no rows."""
        if not axes or not expected.numel():
            return None
        return cls(axes, row_floor(expected, axes, zero_rms), "H" in axes and not zero_rms)

    def add(self, actual: Tensor, expected: Tensor) -> None:
        """Add a slice, with zeros for elements that are not finite; slices follow along the tokens."""
        relative = relative_errors(actual - expected, expected, self.axes, self.floor)
        reduced = [axis for axis in range(relative.dim()) if axis != token_axis(self.axes)]
        self._by_token.append((relative.amax(reduced) if reduced else relative).reshape(-1))
        if self.has_heads:
            within = [index for index, letter in enumerate(self.axes) if letter not in "BH"]
            product, square = actual * expected, expected.square()
            products = product.sum(within) if within else product
            squares = square.sum(within) if within else square
            self._products = products if self._products is None else self._products + products
            self._squares = squares if self._squares is None else self._squares + squares

    def by_zone(self, positions: Tensor | None, tokens: int) -> tuple[float, ...]:
        """Return the largest relative L2 error of a row in each zone; one value without tokens.

        Args:
            positions: The tokens of the compared rows; None if all were compared.
            tokens: T.
        """
        errors = torch.cat(self._by_token).cpu()
        if token_axis(self.axes) is None:
            return (float(errors.max()),)
        where = zones(torch.arange(tokens) if positions is None else positions.cpu(), tokens)
        return tuple(
            torch.zeros(ZONES, dtype=torch.float64).scatter_reduce(0, where, errors, "amax").tolist()
        )

    @property
    def head_error(self) -> float | None:
        """Largest relative error of the scale of a head; None if no heads were compared.

        A head whose square is below 1% of the mean is left out: it hardly has a scale.
        """
        if self._products is None or self._squares is None:
            return None
        counts = self._squares >= FLOOR**2 * self._squares.mean()
        deviation = (self._products / self._squares.clamp_min(1e-300) - 1).abs()
        return float(torch.where(counts, deviation, torch.zeros_like(deviation)).max())
