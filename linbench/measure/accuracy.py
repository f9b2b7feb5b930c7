"""Accuracy: how far what a call returned is from the float64 reference."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from types import EllipsisType

import torch
from torch import Tensor

from linbench.core.measurement import TensorError
from linbench.core.tensor import Expected, ExpectedSample, IndexPart, Slice

RELATIVE_FLOOR = 0.01
SLICE_ELEMENTS = 2**24
SAMPLE_ELEMENTS = 4096
STRETCHES = 16


def errors(
    actual: Mapping[str, Tensor], expected: Mapping[str, Expected], tolerances: Mapping[str, float]
) -> dict[str, TensorError]:
    """Return the error of each tensor that the reference gives, in canonical layout."""
    return {
        name: tensor_error(due.of(actual[name]), due.value, tolerances[name], due.zero_rms)
        for name, due in expected.items()
    }


def tensor_error(actual: Tensor, exact: Tensor, tolerance: float, zero_rms: float = 0.0) -> TensorError:
    """Return how far a tensor is from its exact value.

    Sums are taken in float64, a slice at a time, so that a long tensor is never held twice in float64. An
    element that is not finite is counted, and stands as zero in the other figures, which so stay finite.
    """
    if not bool(torch.isfinite(exact).all()):
        raise ValueError("the reference gave values that are not finite")
    scale = max(zero_rms, float(exact.square().mean().sqrt()) if exact.numel() else 0.0)
    floor = RELATIVE_FLOOR * scale
    difference2 = exact2 = actual2 = product = max_abs = max_rel = 0.0
    nonfinite = 0
    for found, due in _slices(actual, exact):
        value = found.double()
        finite = torch.isfinite(value)
        bad = int(value.numel() - finite.sum())
        nonfinite += bad
        if bad:
            value = torch.where(finite, value, torch.zeros_like(value))
        gap = (value - due).abs()
        difference2 += float(gap.square().sum())
        exact2 += float(due.square().sum())
        actual2 += float(value.square().sum())
        product += float((value * due).sum())
        max_abs = max(max_abs, float(gap.max()))
        large = due.abs() >= floor
        relative = torch.where(large, gap / due.abs().clamp_min(floor or 1.0), torch.zeros_like(gap))
        max_rel = max(max_rel, float(relative.max()))
    norms = math.sqrt(exact2 * actual2)
    norm2 = max(exact2, zero_rms**2 * exact.numel())
    rel_l2 = math.sqrt(difference2 / norm2) if norm2 else math.sqrt(difference2)
    return TensorError(
        rel_l2=min(rel_l2, sys.float_info.max),
        max_abs=max_abs,
        max_rel=min(max_rel, sys.float_info.max),
        cosine=product / norms if 0 < norms < math.inf else float(difference2 == 0),
        nonfinite=nonfinite,
        tolerance=tolerance,
    )


def by_position(actual: Tensor, due: Expected, axis: int, tokens: int) -> tuple[float | None, ...]:
    """Return the relative L2 error of `STRETCHES` stretches of T of equal length, fewer where T is shorter.

    An element that is not finite stands as zero. A stretch without a sample, or whose exact value is zero,
    has None; a sample that was not taken along whole positions has no stretch.

    Args:
        actual: The tensor, canonical.
        due: Its exact value, whole or at sampled positions of one axis.
        axis: Where T is among its axes.
        tokens: T.
    """
    where = _positions(due, axis, tokens)
    if where is None:
        return ()
    count = min(STRETCHES, tokens)
    gap2 = torch.zeros(count, dtype=torch.float64)
    due2 = torch.zeros(count, dtype=torch.float64)
    found = due.of(actual)
    stretch = where * count // tokens
    for number in stretch.unique().tolist():
        some = (stretch == number).nonzero().flatten()
        exact = due.value.index_select(axis, some.to(due.value.device))
        value = found.index_select(axis, some.to(found.device)).double().nan_to_num(0.0, 0.0, 0.0)
        gap2[number] = (value - exact).square().sum()
        due2[number] = exact.square().sum()
    pairs = zip(gap2.tolist(), due2.tolist(), strict=True)
    return tuple(float(f"{math.sqrt(gap / exact):.3g}") if exact else None for gap, exact in pairs)


def _positions(due: Expected, axis: int, tokens: int) -> Tensor | None:
    """Return the positions along T that an exact value stands for, or None if it is no whole positions."""
    if due.step:
        return None
    if due.index == (...,):
        return torch.arange(tokens)
    before, last = due.index[:axis], due.index[axis : axis + 1]
    whole = all(isinstance(part, slice) and part == slice(None) for part in before)
    if whole and len(due.index) == axis + 1 and isinstance(last[0], Tensor):
        return last[0].cpu()
    return None


def complaint(found: Mapping[str, TensorError]) -> str | None:
    """Return what is wrong in one line, worst tensor first, or None if all are within their tolerance."""
    bad = {name: error for name, error in found.items() if not error.within_tolerance}
    if not bad:
        return None
    name, error = max(bad.items(), key=lambda item: item[1].rel_l2)
    if error.nonfinite:
        return f"{name} has {error.nonfinite} elements that are NaN or infinite"
    return f"{name} is off by {error.rel_l2:.2g} (relative L2); the tolerance is {error.tolerance:.2g}"


def sampled(due: Expected) -> ExpectedSample:
    """Return a sample of an exact value, for a worker that does not ask the reference itself."""
    step = max(1, due.value.numel() // SAMPLE_ELEMENTS)
    values = tuple(due.value.flatten()[::step].tolist())
    return ExpectedSample(tuple(map(_pack_index, due.index)), step, values, due.zero_rms)


def expected_of(sample: ExpectedSample, device: str) -> Expected:
    """Return the exact value that a sample is of, as far as it goes."""
    index = tuple(_unpack_index(part, device) for part in sample.index)
    value = torch.tensor(sample.values, dtype=torch.float64, device=device)
    return Expected(value, index, sample.zero_rms, sample.step)


def _pack_index(part: slice | int | Tensor | EllipsisType) -> IndexPart:
    if isinstance(part, EllipsisType):
        return "..."
    if isinstance(part, slice):
        return Slice(part.start, part.stop, part.step)
    return tuple(part.tolist()) if isinstance(part, Tensor) else part


def _unpack_index(part: IndexPart, device: str) -> slice | int | Tensor | EllipsisType:
    if isinstance(part, Slice):
        return slice(part.start, part.stop, part.step)
    if isinstance(part, tuple):
        return torch.tensor(part, device=device)
    return ... if isinstance(part, str) else part


def _slices(actual: Tensor, exact: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    if exact.numel() <= SLICE_ELEMENTS or exact.dim() < 2:
        if exact.numel():
            yield actual, exact
        return
    axis = max(range(exact.dim()), key=lambda dim: exact.shape[dim])
    parts = math.ceil(exact.numel() / SLICE_ELEMENTS)
    yield from zip(actual.tensor_split(parts, axis), exact.tensor_split(parts, axis), strict=True)
