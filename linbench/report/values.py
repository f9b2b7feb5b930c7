"""Values: the value of each row in the figures along the axis, as numbers and as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from linbench.analysis.quantity import Value, values
from linbench.core.measurement import Measurement
from linbench.text import format

Numbers = tuple[float | None, ...]
NOT_TIMED: Final = "not timed"
ZERO_TIME: Final = "the time is zero, which a log axis cannot show"


@dataclass(frozen=True)
class Values:
    """The values of rows in a figure, in columns.

    Attributes:
        y: The value; None where there is nothing to draw.
        low: Low ends of the intervals; empty if the figure has none.
        high: High ends of the intervals; empty if the figure has none.
        text: The value as text, or the reason why there is none.
    """

    y: Numbers
    low: Numbers
    high: Numbers
    text: tuple[str, ...]


@dataclass(frozen=True)
class Errors:
    """The error of one tensor in each row, or that of the worst tensor as a share of its tolerance.

    Attributes:
        values: The errors.
        tolerance: The tolerance of the data type; None where there is no error.
    """

    values: Values
    tolerance: Numbers


MAX_BAR_RATIO: Final = 10
"""The largest ratio of a value to an end of its error bar; longer bars are cut to hide no point."""

DisplayValue = tuple[Value, str] | str
"""A value with its text, or the reason why there is none."""


def rounded(value: float, digits: int = 6) -> float | None:
    """Return a number rounded to significant digits, or None if it is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def columns(cells: Iterable[DisplayValue], digits: int = 9) -> Values:
    """Return the values of rows as columns; a value that a log axis cannot show becomes text."""
    pairs: list[tuple[Value, str]] = []
    for cell in cells:
        if isinstance(cell, str):
            pairs.append(((math.nan,) * 3, cell))
        elif 0 < cell[0][0] < math.inf:
            pairs.append(cell)
        else:
            pairs.append(((math.nan,) * 3, f"{cell[1]}: a log axis cannot show it"))
    y, low, high = (tuple(rounded(value[end], digits) for value, _ in pairs) for end in range(3))
    texts = tuple(text for _, text in pairs)
    has_intervals = any(end is not None for end in (*low, *high))
    return Values(y, low, high, texts) if has_intervals else Values(y, (), (), texts)


def without_interval(value: float, text: str) -> DisplayValue:
    """Return a value without an interval."""
    return (value, math.nan, math.nan), text


def ends(y: Numbers, low: Numbers, high: Numbers) -> Iterator[float]:
    """Yield values and the ends of their error bars in a figure."""
    for index, value in enumerate(y):
        if value is not None:
            yield value
            yield max((low[index] if low else None) or value, value / MAX_BAR_RATIO)
            yield min((high[index] if high else None) or value, value * MAX_BAR_RATIO)


def row_values(rows: Sequence[Measurement], table: pd.DataFrame) -> dict[str, Values]:
    """Return the values of rows in each figure along the axis, by the id of the figure.

    Args:
        rows: The rows.
        table: The rows as a frame.
    """
    times, throughputs = values(table, "time"), values(table, "throughput")
    by_row: Mapping[str, Iterable[DisplayValue]] = {
        "time": map(_time, rows, times),
        "memory": map(_memory, rows),
        "throughput": map(_throughput, rows, throughputs),
        "state": map(_state, rows),
        "approximation": map(_approximation, rows),
    }
    return {name: columns(cells) for name, cells in by_row.items()}


def error_values(rows: Sequence[Measurement]) -> dict[str, Errors]:
    """Return the error of each tensor, by name; under the empty name, the worst over its tolerance."""
    tensors = dict.fromkeys(name for row in rows for name in row.errors)
    results = {"": Errors(columns(map(_worst, rows)), (1.0,) * len(rows))}
    for tensor in tensors:

        def error_of(row: Measurement, tensor: str = tensor) -> DisplayValue:
            return _error(row, tensor, lambda error, _: error)

        tolerances = (row.errors[tensor].tolerance if tensor in row.errors else math.nan for row in rows)
        results[tensor] = Errors(columns(map(error_of, rows)), tuple(map(rounded, tolerances)))
    return results


def untimed(row: Measurement) -> str | None:
    """Return the reason why a log axis cannot show the time of a row, or None if it can."""
    if row.time is None:
        return NOT_TIMED
    return None if row.time.median_s > 0 else ZERO_TIME


def _time(row: Measurement, value: Value) -> DisplayValue:
    time = row.time
    if time is None:
        return NOT_TIMED
    text = f"{format.seconds_interval(time.median_s, time.ci_low_s, time.ci_high_s)}, n = {time.n}"
    return (value, text) if time.median_s > 0 else without_interval(0.0, text)


def _memory(row: Measurement) -> DisplayValue:
    if row.memory is None:
        return "memory not recorded"
    return without_interval(
        row.memory.extra_bytes, f"{format.size(row.memory.extra_bytes)} ({row.memory.meter})"
    )


def _throughput(row: Measurement, value: Value) -> DisplayValue:
    rate, low, high = map(format.rate, value)
    return untimed(row) or (value, f"{rate} [{low}, {high}] tokens/s")


def _state(row: Measurement) -> DisplayValue:
    if row.memory is None:
        return "state not recorded"
    state = row.memory.state_bytes
    return without_interval(state, format.size(state)) if state else "no state"


def _approximation(row: Measurement) -> DisplayValue:
    if not row.approximation:
        return "not an approximation"
    distance = max(row.approximation.values())
    return without_interval(distance, format.digits(distance))


def _worst(row: Measurement) -> DisplayValue:
    if row.worst_tensor is None:
        return "error not recorded"
    return _error(
        row, row.worst_tensor, lambda error, tolerance: error / tolerance if tolerance > 0 else math.inf
    )


def _error(row: Measurement, tensor: str, value: Callable[[float, float], float]) -> DisplayValue:
    error = row.errors.get(tensor)
    if error is None:
        return f"no {tensor}"
    if error.nonfinite or not math.isfinite(error.rel_l2):
        return f"{tensor} has {format.count(error.nonfinite)} non-finite elements"
    text = f"{tensor}: {format.digits(error.rel_l2)}, tolerance {format.digits(error.tolerance)}"
    return without_interval(value(error.rel_l2, error.tolerance), text)
