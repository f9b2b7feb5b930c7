"""Deviation: where a wrong tensor deviates from its expected value, and the pattern of its wrong elements."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from linbench.core.measurement import Deviation, TensorError
from linbench.core.tensor import Expected
from linbench.measure.rows import TOKENS, inner_axes, relative_errors, row_floor, row_norms, token_axis

CHUNKS: Final = (256, 128, 64, 32, 16, 8)


def deviation(actual: Tensor, expected: Expected, error: TensorError, axes: str) -> Deviation | None:
    """Return where a wrong tensor deviates; None where only scattered elements were compared.

    A row is wrong if it holds an element that is not finite, or if its relative L2 error exceeds the
    tolerance of rows; if no row does, those whose error exceeds the tolerance of the tensor are wrong.

    Args:
        actual: The tensor, canonical and whole.
        expected: Its expected value.
        error: Its error, with the tolerances.
        axes: The letters of its axes.
    """
    if expected.step or expected.value.dim() != len(axes):
        return None
    value = expected.of(actual).double()
    finite = torch.isfinite(value)
    gap = torch.where(finite, value - expected.value, torch.full_like(expected.value, torch.inf)).abs()
    rows, scale = _wrong_rows(gap, expected, error, axes)
    elements = (gap > scale) & rows
    if not bool(elements.any()):
        elements = rows & (gap == torch.where(rows, gap, torch.zeros_like(gap)).max())
    place = tuple(int(index) for index in elements.nonzero()[0])
    axis = token_axis(axes)
    positions = None if axis is None else expected.positions(axis, actual.shape[axis])
    first = {
        letter.lower(): int(positions[index]) if letter in TOKENS and positions is not None else index
        for letter, index in zip(axes, place, strict=True)
    }
    element = value[place]
    wrong_tokens, wrong_heads = _any(rows, axes, TOKENS), _any(rows, axes, "H")
    return Deviation(
        first,
        float(element) if bool(torch.isfinite(element)) else None,
        float(expected.value[place]),
        int(elements.sum()),
        _count_rows(rows, axes),
        0 if wrong_tokens is None else int(wrong_tokens.sum()),
        0 if wrong_heads is None else int(wrong_heads.sum()),
        _pattern(value, expected, error, wrong_tokens, wrong_heads, axes),
    )


def _wrong_rows(gap: Tensor, expected: Expected, error: TensorError, axes: str) -> tuple[Tensor, Tensor]:
    """Return a mask of the wrong rows, and the size from which an element of each row is wrong."""
    floor = row_floor(expected.value, axes, expected.zero_rms)
    errors = relative_errors(gap, expected.value, axes, floor)
    limit = error.row_tolerance or 0.0
    if not bool((errors > limit).any()):
        limit = min(limit, error.tolerance)
    wrong = errors > limit
    if not bool(wrong.any()):
        wrong = errors == errors.max()
    norms = row_norms(expected.value, axes).clamp_min(floor or 1.0)
    length = expected.value.numel() // norms.numel()
    return wrong.expand_as(gap), (limit * norms / length**0.5).expand_as(gap)


def _any(rows: Tensor, axes: str, letters: str) -> Tensor | None:
    """Return whether any row is wrong by index of the axis with one of the letters; None without one."""
    axis = next((axis for axis, letter in enumerate(axes) if letter in letters), None)
    if axis is None:
        return None
    reduced = [index for index in range(rows.dim()) if index != axis]
    return rows.amax(reduced) if reduced else rows


def _count_rows(rows: Tensor, axes: str) -> int:
    inner = inner_axes(axes)
    return int((rows.amax(inner) if inner else rows).sum())


def _pattern(
    value: Tensor,
    expected: Expected,
    error: TensorError,
    wrong_tokens: Tensor | None,
    wrong_heads: Tensor | None,
    axes: str,
) -> str:
    """Return what the wrong rows have in common, in words."""
    parts = []
    if bool((value == 0).all()):
        return "all elements are zero"
    if wrong_tokens is not None and expected.index == (...,) and len(wrong_tokens) > 1:
        parts.append(_token_pattern(wrong_tokens))
    if wrong_heads is not None and 1 == int(wrong_heads.sum()) < len(wrong_heads):
        parts.append(f"only head {int(wrong_heads.nonzero()[0])}")
    if "H" in axes and error.head_error is not None and error.head_error > (error.head_tolerance or 0.0):
        parts.append(_scale_pattern(value, expected, axes))
    return ", ".join(filter(None, parts))


def _token_pattern(wrong: Tensor) -> str:
    """Return which tokens are wrong, in words."""
    tokens = len(wrong)
    indices = wrong.nonzero().flatten()
    first, last = int(indices[0]), int(indices[-1])
    if first == last == tokens - 1:
        return "only the last token"
    if first == last:
        return f"only token {first}"
    for chunk in CHUNKS:
        start = tokens // chunk * chunk
        if 0 < start <= first and first < start + max(1, (tokens - start) // 4) and start < tokens:
            return f"only the last partial chunk, from token {start} (T = {start} + {tokens - start})"
    if len(indices) < tokens:
        return f"tokens {first} to {last}"
    return ""


def _scale_pattern(value: Tensor, expected: Expected, axes: str) -> str:
    """Return the head whose scale is furthest off, in words."""
    axis = axes.index("H")
    within = [index for index in range(value.dim()) if index != axis]
    finite = torch.where(torch.isfinite(value), value, torch.zeros_like(value))
    scale = (finite * expected.value).sum(within) / expected.value.square().sum(within).clamp_min(1e-300)
    head = int((scale - 1).abs().argmax())
    part, exact = finite.select(axis, head), expected.value.select(axis, head)
    rest = float((part - scale[head] * exact).norm()) / float(exact.norm() or 1.0)
    if rest > abs(float(scale[head]) - 1) / 2:  # more than a scale is wrong
        return ""
    return f"head {head} is {float(scale[head]):.4g} times its expected value"
