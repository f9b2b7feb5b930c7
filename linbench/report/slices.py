"""Slices: what the figures of one value of the axis show: error along T, memory in parts, the front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from linbench.analysis.panel import Panel
from linbench.analysis.pareto import front
from linbench.core.measurement import Measurement
from linbench.report.values import Errors, Numbers, Shown, Values, columns, plain, rounded
from linbench.text import format

PARTS: Final = (
    ("output", "outputs", ""),
    ("saved", "kept for backward", "/"),
    ("workspace", "workspace", "x"),
)
"""Name, title and pattern of each part of the memory."""


@dataclass(frozen=True)
class Stretches:
    """Where the errors along T of some rows lie.

    Attributes:
        middles: Of each stretch, tokens.
        texts: Its first and last token.
    """

    middles: tuple[float, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Positions:
    """The error of the worst tensor along T.

    Attributes:
        values: The largest of each row.
        tensor: The worst tensor of each row.
        along: By row, the error of each stretch.
        texts: The same in words.
        stretches: Every division of T that a row has.
        divided: Number of the row's division.
    """

    values: Values
    tensor: tuple[str, ...]
    along: tuple[Numbers, ...]
    texts: tuple[tuple[str, ...], ...]
    stretches: tuple[Stretches, ...]
    divided: tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """One part of the memory.

    Attributes:
        title: What it is.
        pattern: Of its bar, as plotly names it.
        bytes: In each row.
        texts: The same in words.
    """

    title: str
    pattern: str
    bytes: tuple[int | None, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Parts:
    """What the memory of each row is made of.

    Attributes:
        values: All above the inputs.
        extra: The same, in words.
        state: The state that is given or returned, in words.
        parts: Each of the parts.
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
        along=tuple(tuple(None if one is None else rounded(one, 3) for one in errors) for errors in along),
        texts=tuple(
            tuple("\u2013" if one is None else format.digits(one) for one in errors) for errors in along
        ),
        stretches=tuple(_stretches(*division) for division in numbers),
        divided=tuple(numbers[division] for division in divisions),
    )


def _largest(row: Measurement, errors: Sequence[float | None]) -> Shown:
    most = max((error for error in errors if error is not None), default=0.0)
    if not most > 0:
        return "its error by position was not recorded"
    return plain(most, f"{row.worst_tensor}: at most {format.digits(most)}")


def _stretches(tokens: int, parts: int) -> Stretches:
    ends = [(place * tokens // parts + 1, (place + 1) * tokens // parts) for place in range(parts)]
    return Stretches(
        tuple((first + last) / 2 for first, last in ends),
        tuple(f"{format.count(first)} to {format.count(last)}" for first, last in ends),
    )


def memory_parts(rows: Sequence[Measurement]) -> Parts:
    """Return what the memory of each row is made of."""
    memories = [row.memory for row in rows]
    parts = []
    for name, title, pattern in PARTS:
        held: list[int | None] = [getattr(one, f"{name}_bytes") if one else None for one in memories]
        parts.append(Part(title, pattern, tuple(held), tuple(map(_size, held))))
    extra = [_size(one.extra_bytes if one else None) for one in memories]
    named = [", ".join(f"{part.title} {part.texts[row]}" for part in parts) for row in range(len(rows))]
    shown: list[Shown] = [
        "its memory was not recorded" if one is None else plain(one.extra_bytes, f"{whole}: {split}")
        for one, whole, split in zip(memories, extra, named, strict=True)
    ]
    state = [_size(one.state_bytes if one else None) for one in memories]
    return Parts(columns(shown), tuple(extra), tuple(state), tuple(parts))


def fronts(panel: Panel, errors: Mapping[str, Errors]) -> dict[str, tuple[int, ...]]:
    """Return by tensor the rows of a panel that no other row at the same value is as quick and as exact as.

    Args:
        panel: The panel.
        errors: By tensor, of every row of the table.
    """
    numbers = panel.rows.index.to_numpy()
    quickest = panel.rows["median_s"].to_dict()
    times = panel.rows["median_s"].where(panel.rows["median_s"] > 0).to_numpy("float64", na_value=np.nan)
    places = panel.rows.groupby(panel.axis).indices
    found = {}
    for tensor, error in errors.items():
        every = np.array([error.values.y[number] for number in numbers], dtype="float64")
        costs = np.column_stack((times, every))
        on = [int(numbers[own[place]]) for own in places.values() for place in front(costs[own])]
        found[tensor] = tuple(sorted(on, key=quickest.__getitem__))
    return found


def _size(value: int | None) -> str:
    return "\u2013" if value is None else format.size(value)
