"""Tensor: named tensors of an operator and their axes, what a call is given, and what it must return."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import TYPE_CHECKING, Literal

from linbench.core.case import ITEM_BYTES, Case

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class TensorSpec:
    """A named tensor of an operator and its axes.

    Attributes:
        name: The name, as in q.
        axes: One letter an axis. B, H, K and V are the case's; T is the tokens of this call (1 in decode);
            L is the room of a cache, the case's T + 1.
        differentiable: Whether fwd_bwd is asked for its gradient; a constant of the mechanism has none.
        at_least_float32: Whether it is float32 where the case's dtype is a half type, as gates are: exp(g)
            needs the digits.
    """

    name: str
    axes: str
    differentiable: bool = True
    at_least_float32: bool = False

    def shape(self, case: Case, tokens: int) -> tuple[int, ...]:
        """Return the sizes of the axes at a case whose call processes `tokens` tokens."""
        sizes = {"B": case.B, "T": tokens, "L": case.T + 1, "H": case.H, "K": case.K, "V": case.V}
        return tuple(sizes[axis] for axis in self.axes)

    def dtype(self, case: Case) -> str:
        """Return the element type at a case of an input, or of the gradient of one."""
        return "float32" if self.at_least_float32 and case.item_bytes < ITEM_BYTES["float32"] else case.dtype

    def bytes(self, case: Case, tokens: int) -> int:
        """Return the bytes of an input, or of the gradient of one, at a case."""
        return math.prod(self.shape(case, tokens)) * ITEM_BYTES[self.dtype(case)]


@dataclass(frozen=True)
class Inputs:
    """What one call is given, in the canonical layout.

    Attributes:
        tensors: The operator's inputs by name.
        state: The state that stands before the call, or None where it starts from nothing.
        upstream: Gradient of the loss by the output; only in fwd_bwd.
    """

    tensors: Mapping[str, Tensor]
    state: tuple[Tensor, ...] | None = None
    upstream: Tensor | None = None


@dataclass(frozen=True)
class Expected:
    """The exact value of an output, whole or at a sample of its elements.

    Attributes:
        value: float64.
        index: Where in the output the value lies.
        zero_rms: Root mean square below which the exact value counts as zero: errors are then taken
            relative to this instead, since what remains after cancellation is rounding.
        step: 0 if the value is all of `output[index]`; else it is every step-th element of it, flattened.
    """

    value: Tensor
    index: tuple[slice | int | Tensor | EllipsisType, ...] = (...,)
    zero_rms: float = 0.0
    step: int = 0

    def of(self, output: Tensor) -> Tensor:
        """Return the part of an output that the value is compared with."""
        part = output[self.index]
        return part.flatten()[:: self.step] if self.step else part


@dataclass(frozen=True)
class Slice:
    """A slice of an axis, as data."""

    start: int | None
    stop: int | None
    step: int | None


IndexPart = Literal["..."] | Slice | tuple[int, ...] | int
"""A part of `Expected.index` as data: all the rest, a slice, positions or one position."""


@dataclass(frozen=True)
class ExpectedSample:
    """A sample of the elements of an exact value, as data.

    Attributes:
        index: Where in the output the value lies.
        step: Every how many elements of that part, flattened, one is taken.
        values: The elements, float64.
        zero_rms: As in `Expected`.
    """

    index: tuple[IndexPart, ...]
    step: int
    values: tuple[float, ...]
    zero_rms: float


def normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Return float32 samples of the unit normal on the generator's device."""
    import torch

    return torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float32)


def take_heads(tensor: Tensor, axes: str, heads: slice) -> Tensor:
    """Return the slice of a tensor that belongs to some heads; all of it if it has no H axis."""
    if "H" not in axes:
        return tensor
    return tensor.narrow(axes.index("H"), heads.start, heads.stop - heads.start)


def join_heads(parts: Sequence[Tensor], axes: str) -> Tensor:
    """Return slices over heads put together again; the sum of them if there is no H axis."""
    import torch

    if len(parts) == 1:
        return parts[0]
    if "H" not in axes:
        return torch.stack(list(parts)).sum(0)
    return torch.cat(list(parts), dim=axes.index("H"))
