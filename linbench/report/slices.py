"""Slices: the data of figures at one value of the axis: error along T, memory by purpose, Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from linbench.analysis.panel import Panel
from linbench.analysis.pareto import front
from linbench.core.measurement import Measurement
from linbench.report.values import DisplayValue, Errors, Numbers, Values, columns, rounded, without_interval
from linbench.text import format

PARTS: Final = (
    ("output", "outputs", ""),
    ("saved", "saved for backward", "/"),
    ("workspace", "workspace", "x"),
)
"""Name, title and pattern of each part of the memory."""


@dataclass(frozen=True)
class Segments:
    """A division of T into segments of equal length.

    Attributes:
        middles: The middle of each segment, in tokens.
        texts: The first and last token of each segment.
    """

    middles: tuple[float, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Positions:
    """The error of the worst tensor along T.

    Attributes:
        values: The largest error of each row.
        tensor: The worst tensor of each row.
        along: The error of each segment, by row.
        texts: The error of each segment as text, by row.
        segments: Every division of T in the rows.
        division: The number of each row's division.
    """

    values: Values
    tensor: tuple[str, ...]
    along: tuple[Numbers, ...]
    texts: tuple[tuple[str, ...], ...]
    segments: tuple[Segments, ...]
    division: tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """One part of the memory.

    Attributes:
        title: The title of the part.
        pattern: The fill pattern of its bar, in plotly's terms.
        bytes: The size of the part in each row.
        texts: The size of the part in each row, as text.
    """

    title: str
    pattern: str
    bytes: tuple[int | None, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Parts:
    """The memory of each row, by purpose.

    Attributes:
        values: The total above the inputs.
        extra: The total above the inputs, as text.
        state: The state that the call reads or returns, as text.
        parts: The parts.
    """

    values: Values
    extra: tuple[str, ...]
    state: tuple[str, ...]
    parts: tuple[Part, ...]


def positions(rows: Sequence[Measurement]) -> Positions:
    """Return the error along T of each row."""
    along = [row.errors[row.worst_tensor].by_position if row.worst_tensor else () for row in rows]
    divisions = [(row.case.T, len(errors)) for row, errors in zip(rows, along, strict=True)]
    numbers = {division: number for number, division in enumerate(dict.fromkeys(divisions))}
    return Positions(
        values=columns(map(_largest, rows, along)),
        tensor=tuple(row.worst_tensor or "" for row in rows),
        along=tuple(
            tuple(None if error is None else rounded(error, 3) for error in errors) for errors in along
        ),
        texts=tuple(
            tuple("\u2013" if error is None else format.digits(error) for error in errors) for errors in along
        ),
        segments=tuple(_segments(*division) for division in numbers),
        division=tuple(numbers[division] for division in divisions),
    )


def _largest(row: Measurement, errors: Sequence[float | None]) -> DisplayValue:
    most = max((error for error in errors if error is not None), default=0.0)
    if not most > 0:
        return "error along the sequence not recorded"
    return without_interval(most, f"{row.worst_tensor}: at most {format.digits(most)}")


def _segments(tokens: int, parts: int) -> Segments:
    ends = [(index * tokens // parts + 1, (index + 1) * tokens // parts) for index in range(parts)]
    return Segments(
        tuple((first + last) / 2 for first, last in ends),
        tuple(f"{format.count(first)} to {format.count(last)}" for first, last in ends),
    )


def memory_parts(rows: Sequence[Measurement]) -> Parts:
    """Return the memory of each row, by purpose."""
    memories = [row.memory for row in rows]
    parts = []
    for name, title, pattern in PARTS:
        sizes: list[int | None] = [
            getattr(memory, f"{name}_bytes") if memory else None for memory in memories
        ]
        parts.append(Part(title, pattern, tuple(sizes), tuple(map(_size, sizes))))
    extra = [_size(memory.extra_bytes if memory else None) for memory in memories]
    summaries = [", ".join(f"{part.title} {part.texts[row]}" for part in parts) for row in range(len(rows))]
    totals: list[DisplayValue] = [
        "memory not recorded"
        if memory is None
        else without_interval(memory.extra_bytes, f"{total}: {summary}")
        for memory, total, summary in zip(memories, extra, summaries, strict=True)
    ]
    state = [_size(memory.state_bytes if memory else None) for memory in memories]
    return Parts(columns(totals), tuple(extra), tuple(state), tuple(parts))


def fronts(panel: Panel, errors: Mapping[str, Errors]) -> dict[str, tuple[int, ...]]:
    """Return the Pareto front of time and error at each value of a panel's axis, by tensor.

    Args:
        panel: The panel.
        errors: The errors of every row of the table, by tensor.
    """
    numbers = panel.rows.index.to_numpy()
    row_times = panel.rows["median_s"].to_dict()
    times = panel.rows["median_s"].where(panel.rows["median_s"] > 0).to_numpy("float64", na_value=np.nan)
    groups = panel.rows.groupby(panel.axis).indices
    results = {}
    for tensor, error in errors.items():
        values = np.array([error.values.y[number] for number in numbers], dtype="float64")
        costs = np.column_stack((times, values))
        members = [int(numbers[group[index]]) for group in groups.values() for index in front(costs[group])]
        results[tensor] = tuple(sorted(members, key=row_times.__getitem__))
    return results


def _size(value: int | None) -> str:
    return "\u2013" if value is None else format.size(value)
