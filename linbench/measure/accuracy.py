"""Accuracy: the error of the results of a call relative to the float64 reference."""

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
SEGMENTS = 16


def errors(
    actual: Mapping[str, Tensor], expected: Mapping[str, Expected], tolerances: Mapping[str, float]
) -> dict[str, TensorError]:
    """Return the error of each tensor that has an expected value, in canonical layout."""
    return {
        name: tensor_error(entry.of(actual[name]), entry.value, tolerances[name], entry.zero_rms)
        for name, entry in expected.items()
    }


def tensor_error(actual: Tensor, expected: Tensor, tolerance: float, zero_rms: float = 0.0) -> TensorError:
    """Return the error of a tensor relative to its expected value.

    Sums are accumulated in float64, slice by slice, so that no second float64 copy of a long tensor is
    needed. Elements that are not finite are counted; they count as zero in the other figures, which therefore
    stay finite.
    """
    if not bool(torch.isfinite(expected).all()):
        raise ValueError("the reference returned values that are not finite")
    scale = max(zero_rms, float(expected.square().mean().sqrt()) if expected.numel() else 0.0)
    floor = RELATIVE_FLOOR * scale
    difference2 = expected2 = actual2 = product = max_abs = max_rel = 0.0
    nonfinite = 0
    for actual_part, expected_part in _slices(actual, expected):
        value = actual_part.double()
        finite = torch.isfinite(value)
        bad = int(value.numel() - finite.sum())
        nonfinite += bad
        if bad:
            value = torch.where(finite, value, torch.zeros_like(value))
        gap, size = (value - expected_part).abs(), expected_part.abs()
        difference2 += float(gap.square().sum())
        expected2 += float(expected_part.square().sum())
        actual2 += float(value.square().sum())
        product += float((value * expected_part).sum())
        max_abs = max(max_abs, float(gap.max()))
        relative = torch.where(size >= floor, gap / size.clamp_min(floor or 1.0), torch.zeros_like(gap))
        max_rel = max(max_rel, float(relative.max()))
    norms = math.sqrt(expected2 * actual2)
    norm2 = max(expected2, zero_rms**2 * expected.numel())
    rel_l2 = math.sqrt(difference2 / norm2) if norm2 else math.sqrt(difference2)
    return TensorError(
        rel_l2=min(rel_l2, sys.float_info.max),
        max_abs=max_abs,
        max_rel=min(max_rel, sys.float_info.max),
        cosine=product / norms if 0 < norms < math.inf else float(difference2 == 0),
        nonfinite=nonfinite,
        tolerance=tolerance,
    )


def by_position(actual: Tensor, expected: Expected, axis: int, tokens: int) -> tuple[float | None, ...]:
    """Return the relative L2 error of `SEGMENTS` segments of T of equal length, fewer if T is shorter.

    An element that is not finite counts as zero. A segment without samples, or with an expected value of
    zero, has None; a sample that does not consist of whole positions has no segments.

    Args:
        actual: The tensor, canonical.
        expected: Its expected value, whole or at sampled positions of one axis.
        axis: Index of T among its axes.
        tokens: T.
    """
    positions = _positions(expected, axis, tokens)
    if positions is None:
        return ()
    count = min(SEGMENTS, tokens)
    gap2 = torch.zeros(count, dtype=torch.float64)
    norm2 = torch.zeros(count, dtype=torch.float64)
    part = expected.of(actual)
    segments = positions * count // tokens
    for segment in segments.unique().tolist():
        members = (segments == segment).nonzero().flatten()
        exact = expected.value.index_select(axis, members.to(expected.value.device))
        value = part.index_select(axis, members.to(part.device)).double().nan_to_num(0.0, 0.0, 0.0)
        gap2[segment] = (value - exact).square().sum()
        norm2[segment] = exact.square().sum()
    pairs = zip(gap2.tolist(), norm2.tolist(), strict=True)
    return tuple(float(f"{math.sqrt(gap / norm):.3g}") if norm else None for gap, norm in pairs)


def _positions(expected: Expected, axis: int, tokens: int) -> Tensor | None:
    """Return the positions along T of an expected value, or None if it does not have whole positions."""
    if expected.step:
        return None
    if expected.index == (...,):
        return torch.arange(tokens)
    before, last = expected.index[:axis], expected.index[axis : axis + 1]
    is_whole = all(isinstance(part, slice) and part == slice(None) for part in before)
    if is_whole and len(expected.index) == axis + 1 and isinstance(last[0], Tensor):
        return last[0].cpu()
    return None


def complaint(tensor_errors: Mapping[str, TensorError]) -> str | None:
    """Return a one-line message on the worst tensor, or None if all are within their tolerance."""
    bad = {name: error for name, error in tensor_errors.items() if not error.within_tolerance}
    if not bad:
        return None
    name, error = max(bad.items(), key=lambda item: item[1].rel_l2)
    if error.nonfinite:
        return f"{name} has {error.nonfinite} elements that are NaN or infinite"
    return f"{name} is off by {error.rel_l2:.2g} (relative L2); the tolerance is {error.tolerance:.2g}"


def sample_of(expected: Expected) -> ExpectedSample:
    """Return a sample of an expected value, for a worker that does not compute the reference itself."""
    step = max(1, expected.value.numel() // SAMPLE_ELEMENTS)
    values = tuple(expected.value.flatten()[::step].tolist())
    return ExpectedSample(tuple(map(_pack_index, expected.index)), step, values, expected.zero_rms)


def expected_of(sample: ExpectedSample, device: str) -> Expected:
    """Return the expected value from its sample, at the sampled elements only."""
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


def _slices(actual: Tensor, expected: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    if expected.numel() <= SLICE_ELEMENTS or expected.dim() < 2:
        if expected.numel():
            yield actual, expected
        return
    axis = max(range(expected.dim()), key=lambda dim: expected.shape[dim])
    parts = math.ceil(expected.numel() / SLICE_ELEMENTS)
    yield from zip(actual.tensor_split(parts, axis), expected.tensor_split(parts, axis), strict=True)
