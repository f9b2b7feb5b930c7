"""Tensor: named tensors of an operator and their axes, the inputs of a call, and its expected values."""

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
        axes: One letter per axis. B, H, K and V are the case's; T is the tokens of this call (1 in decode);
            L is the capacity of a cache, the case's T + 1.
        differentiable: Whether fwd_bwd computes its gradient; a constant of the mechanism has none.
        at_least_float32: Whether it is float32 where the case's dtype is a half type, as gates are: exp(g)
            needs the precision.
        is_copy: Whether a result holds copies of inputs, as a cache does, so that it must be exact.
    """

    name: str
    axes: str
    differentiable: bool = True
    at_least_float32: bool = False
    is_copy: bool = False

    def shape(self, case: Case, tokens: int) -> tuple[int, ...]:
        """Return the sizes of the axes at a case whose call processes `tokens` tokens."""
        sizes = {"B": case.B, "T": tokens, "L": case.T + 1, "H": case.H, "K": case.K, "V": case.V}
        return tuple(sizes[axis] for axis in self.axes)

    def dtype(self, case: Case) -> str:
        """Return the element type of an input, or of its gradient, at a case."""
        return "float32" if self.at_least_float32 and case.item_bytes < ITEM_BYTES["float32"] else case.dtype

    def bytes(self, case: Case, tokens: int) -> int:
        """Return the bytes of an input, or of its gradient, at a case."""
        return math.prod(self.shape(case, tokens)) * ITEM_BYTES[self.dtype(case)]


@dataclass(frozen=True)
class Inputs:
    """The inputs of one call, in the canonical layout.

    Attributes:
        tensors: The operator's inputs by name.
        state: The initial state, or None where the call starts without one.
        upstream: Gradient of the loss with respect to the output; only in fwd_bwd.
    """

    tensors: Mapping[str, Tensor]
    state: tuple[Tensor, ...] | None = None
    upstream: Tensor | None = None


@dataclass(frozen=True)
class Expected:
    """The expected value of an output, whole or at a sample of its elements.

    Attributes:
        value: The value, float64.
        index: Index of the value in the output.
        zero_rms: Root mean square below which the expected value counts as zero: errors are then relative to
            this instead, since only rounding errors remain after cancellation.
        step: 0 if the value is all of `output[index]`; else it is every step-th element of it, flattened.
    """

    value: Tensor
    index: tuple[slice | int | Tensor | EllipsisType, ...] = (...,)
    zero_rms: float = 0.0
    step: int = 0

    def of(self, output: Tensor) -> Tensor:
        """Return the part of an output to compare with the value."""
        part = output[self.index]
        return part.flatten()[:: self.step] if self.step else part

    def positions(self, axis: int, size: int) -> Tensor | None:
        """Return the positions along an axis that the value has, or None if it does not have whole positions.

        Args:
            axis: Index of the axis of the output.
            size: Size of that axis.
        """
        import torch

        if self.step:
            return None
        if self.index == (...,):
            return torch.arange(size)
        before, last = self.index[:axis], self.index[axis : axis + 1]
        is_whole = all(isinstance(part, slice) and part == slice(None) for part in before)
        if is_whole and len(self.index) == axis + 1 and isinstance(last[0], torch.Tensor):
            return last[0].cpu()
        return None


@dataclass(frozen=True)
class Slice:
    """A slice of an axis, as plain data."""

    start: int | None
    stop: int | None
    step: int | None


IndexPart = Literal["..."] | Slice | tuple[int, ...] | int
"""A part of `Expected.index` as plain data: an ellipsis, a slice, positions or one position."""


@dataclass(frozen=True)
class ExpectedSample:
    """A sample of the elements of an expected value, as plain data.

    Attributes:
        index: Index of the value in the output.
        step: Distance of the sampled elements in that part of the output, flattened.
        values: The elements, float64.
        zero_rms: As in `Expected`.
    """

    index: tuple[IndexPart, ...]
    step: int
    values: tuple[float, ...]
    zero_rms: float


def normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Return float32 samples of the standard normal distribution on the generator's device."""
    import torch

    return torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float32)


def take_heads(tensor: Tensor, axes: str, heads: slice) -> Tensor:
    """Return the slice of a tensor that belongs to some heads; all of it if it has no H axis."""
    if "H" not in axes:
        return tensor
    return tensor.narrow(axes.index("H"), heads.start, heads.stop - heads.start)


def join_heads(parts: Sequence[Tensor], axes: str) -> Tensor:
    """Return the concatenation of slices over heads; their sum if there is no H axis."""
    import torch

    if len(parts) == 1:
        return parts[0]
    if "H" not in axes:
        return torch.stack(list(parts)).sum(0)
    return torch.cat(list(parts), dim=axes.index("H"))
