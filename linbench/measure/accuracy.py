"""Accuracy: the error of the results of a call relative to the float64 reference."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import EllipsisType

import torch
from torch import Tensor

from linbench.core.measurement import Deviation, TensorError, Tolerance
from linbench.core.tensor import Expected, ExpectedSample, IndexPart, Slice
from linbench.measure.deviation import deviation
from linbench.measure.rows import Rows, token_axis
from linbench.text.format import listing, plural

RELATIVE_FLOOR = 0.01
SLICE_ELEMENTS = 2**24
SAMPLE_ELEMENTS = 4096
SEGMENTS = 16


def errors(
    actual: Mapping[str, Tensor],
    expected: Mapping[str, Expected],
    tolerances: Mapping[str, Tolerance],
    axes: Mapping[str, str],
) -> dict[str, TensorError]:
    """Return the error of each tensor that has an expected value.

    Args:
        actual: The results of a call, canonical.
        expected: Their expected values.
        tolerances: The tolerance of each.
        axes: The letters of the axes of each, as in `TensorSpec.axes`.
    """
    tensor_errors = {}
    for name, entry in expected.items():
        axis = token_axis(axes[name])
        tokens = 1 if axis is None else actual[name].shape[axis]
        error = tensor_error(entry.of(actual[name]), entry, tolerances[name], axes[name], tokens)
        if not error.within_tolerance:
            error = replace(error, deviation=deviation(actual[name], entry, error, axes[name]))
        tensor_errors[name] = error
    return tensor_errors


def tensor_error(
    actual: Tensor, expected: Expected, tolerance: Tolerance, axes: str, tokens: int
) -> TensorError:
    """Return the error of the compared part of a tensor relative to its expected value.

    Sums are accumulated in float64, slice by slice, so that no second float64 copy of a long tensor is
    needed. Elements that are not finite are counted; they count as zero in the other figures, which therefore
    stay finite.
    """
    value, zero_rms = expected.value, expected.zero_rms
    if not bool(torch.isfinite(value).all()):
        raise ValueError("the reference returned values that are not finite")
    letters = axes if value.dim() == len(axes) else ""
    scale = max(zero_rms, float(value.square().mean().sqrt()) if value.numel() else 0.0)
    total = _Total(RELATIVE_FLOOR * scale, Rows.of(value, letters, zero_rms))
    for actual_part, expected_part in _slices(actual, value, letters):
        total.add(actual_part, expected_part)
    norm2 = max(total.expected2, zero_rms**2 * value.numel())
    return total.error(tolerance, norm2, _worst_row(total.rows, expected, tokens, tolerance))


def row_errors(actual: Tensor, expected: Expected, axes: str) -> tuple[float, ...]:
    """Return the largest relative L2 error of a whole tensor's rows by zone, without a tolerance."""
    rows = Rows.of(expected.value, axes, expected.zero_rms)
    if rows is None:
        return (0.0,)
    for actual_part, expected_part in _slices(actual, expected.value, axes):
        rows.add(actual_part.double().nan_to_num(0.0, 0.0, 0.0), expected_part)
    axis = token_axis(axes)
    return rows.by_zone(None, 1 if axis is None else actual.shape[axis])


def _worst_row(
    rows: Rows | None, expected: Expected, tokens: int, tolerance: Tolerance
) -> tuple[float, float] | None:
    """Return the error and the tolerance of the row that is the largest multiple of its tolerance."""
    if rows is None:
        return None
    axis = token_axis(rows.axes)
    positions = None if axis is None else expected.positions(axis, tokens)
    if axis is not None and positions is None:
        return None
    errors_by_zone = rows.by_zone(positions, tokens)
    limits = tolerance.rows
    if len(limits) != len(errors_by_zone):  # one limit for all rows
        limits = (max(limits),) * len(errors_by_zone)
    pairs = list(zip(errors_by_zone, limits, strict=True))
    return max(pairs, key=lambda pair: pair[0] / pair[1] if pair[1] else math.inf if pair[0] else 0.0)


@dataclass
class _Total:
    """The sums over the slices of a tensor from which its error follows."""

    floor: float
    rows: Rows | None
    difference2: float = 0.0
    expected2: float = 0.0
    actual2: float = 0.0
    product: float = 0.0
    max_abs: float = 0.0
    max_rel: float = 0.0
    nonfinite: int = 0

    def add(self, actual: Tensor, expected: Tensor) -> None:
        """Add a slice."""
        value = actual.double()
        finite = torch.isfinite(value)
        bad = int(value.numel() - finite.sum())
        self.nonfinite += bad
        if bad:
            value = torch.where(finite, value, torch.zeros_like(value))
        if self.rows is not None:
            self.rows.add(value, expected)
        gap, size = (value - expected).abs(), expected.abs()
        self.difference2 += float(gap.square().sum())
        self.expected2 += float(expected.square().sum())
        self.actual2 += float(value.square().sum())
        self.product += float((value * expected).sum())
        self.max_abs = max(self.max_abs, float(gap.max()))
        relative = torch.where(
            size >= self.floor, gap / size.clamp_min(self.floor or 1.0), torch.zeros_like(gap)
        )
        self.max_rel = max(self.max_rel, float(relative.max()))

    def error(self, tolerance: Tolerance, norm2: float, worst_row: tuple[float, float] | None) -> TensorError:
        """Return the error of the tensor whose slices were added."""
        norms = math.sqrt(self.expected2 * self.actual2)
        rel_l2 = math.sqrt(self.difference2 / norm2) if norm2 else math.sqrt(self.difference2)
        rows = self.rows
        return TensorError(
            rel_l2=_bounded(rel_l2),
            max_abs=self.max_abs,
            max_rel=_bounded(self.max_rel),
            cosine=self.product / norms if 0 < norms < math.inf else float(self.difference2 == 0),
            nonfinite=self.nonfinite,
            tolerance=tolerance.rel_l2,
            row_error=None if worst_row is None else _bounded(worst_row[0]),
            row_tolerance=None if worst_row is None else worst_row[1],
            head_error=None if rows is None or rows.head_error is None else _bounded(rows.head_error),
            head_tolerance=None if rows is None or rows.head_error is None else tolerance.head,
        )


def _bounded(value: float) -> float:
    return min(value, sys.float_info.max)


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
    positions = expected.positions(axis, tokens)
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


def complaint(tensor_errors: Mapping[str, TensorError]) -> str | None:
    """Return one line on every tensor that is not within its tolerance, worst first; None if all are."""
    bad = {name: error for name, error in tensor_errors.items() if not error.within_tolerance}
    if not bad:
        return None
    worst_first = sorted(bad.items(), key=lambda item: (-item[1].nonfinite, -item[1].rel_l2))
    return "; ".join(_complaint(name, error) for name, error in worst_first)


def _complaint(name: str, error: TensorError) -> str:
    if error.nonfinite:
        text = f"{name} has {plural(error.nonfinite, 'NaN or infinite element')}"
    elif error.rel_l2 > error.tolerance:
        text = _excess(name, error.rel_l2, "(relative L2)", error.tolerance)
    elif (error.row_error or 0.0) > (error.row_tolerance or 0.0):
        text = _excess(name, error.row_error, "in a row (relative L2)", error.row_tolerance)
    else:
        text = _excess(name, error.head_error, "in the scale of a head", error.head_tolerance)
    return f"{text}{_place(error.deviation)}"


def _excess(name: str, error: float | None, kind: str, tolerance: float | None) -> str:
    return f"{name} is off by {error or 0.0:.2g} {kind}; the tolerance is {tolerance or 0.0:.2g}"


def _place(place: Deviation | None) -> str:
    """Return where a tensor deviates, in words."""
    if place is None:
        return ""
    counts = [plural(place.elements, "element"), plural(place.rows, "row")]
    counts += [plural(place.tokens, "token")] if place.tokens else []
    counts += [plural(place.heads, "head")] if place.heads else []
    index = ", ".join(f"{letter} {number}" for letter, number in place.first.items())
    actual = "NaN or infinite" if place.actual is None else f"{place.actual:.4g}"
    pattern = f" ({place.pattern})" if place.pattern else ""
    return (
        f": wrong are {listing(counts)}{pattern}; first at {index}: {actual}, expected {place.expected:.4g}"
    )


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


def _slices(actual: Tensor, expected: Tensor, letters: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield both tensors in slices along the longest axis that holds whole rows, T rather than B or H."""
    if expected.numel() <= SLICE_ELEMENTS or expected.dim() < 2:
        if expected.numel():
            yield actual, expected
        return
    candidates = [axis for axis, letter in enumerate(letters) if letter in "TL"] or range(expected.dim())
    axis = max(candidates, key=lambda dim: expected.shape[dim])
    parts = math.ceil(expected.numel() / SLICE_ELEMENTS)
    yield from zip(actual.tensor_split(parts, axis), expected.tensor_split(parts, axis), strict=True)
