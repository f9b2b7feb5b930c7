"""Values: what the figures along the axis show of each row, as numbers to draw and texts to read."""

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
NOT_TIMED: Final = "it was not timed"
ZERO_TIME: Final = "its time is zero, which a log axis cannot show"


@dataclass(frozen=True)
class Values:
    """A column each of what a figure shows of some rows.

    Attributes:
        y: The value; None where there is nothing to draw.
        low: Low ends of the intervals; empty where the figure has none.
        high: High ends, likewise.
        text: The value in words; why there is none, where there is none.
    """

    y: Numbers
    low: Numbers
    high: Numbers
    text: tuple[str, ...]


@dataclass(frozen=True)
class Errors:
    """The error of one tensor in each row, or of the worst one as a share of its tolerance.

    Attributes:
        values: What is drawn.
        tolerance: What the data type allows; None where nothing is drawn.
    """

    values: Values
    tolerance: Numbers


CUT: Final = 10
"""An interval that reaches further than so many times its value is cut, so that it hides no other point."""

Shown = tuple[Value, str] | str
"""A value with its text, or why there is none."""


def rounded(value: float, digits: int = 6) -> float | None:
    """Return a number with so many significant digits, or None if it is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def columns(shown: Iterable[Shown], digits: int = 9) -> Values:
    """Return what is shown of rows as columns; what a log axis cannot show is told in words."""
    found: list[tuple[Value, str]] = []
    for one in shown:
        if isinstance(one, str):
            found.append(((math.nan,) * 3, one))
        elif 0 < one[0][0] < math.inf:
            found.append(one)
        else:
            found.append(((math.nan,) * 3, f"it is {one[1]}, which a log axis cannot show"))
    y, low, high = (tuple(rounded(value[end], digits) for value, _ in found) for end in range(3))
    texts = tuple(text for _, text in found)
    has_intervals = any(end is not None for end in (*low, *high))
    return Values(y, low, high, texts) if has_intervals else Values(y, (), (), texts)


def plain(value: float, text: str) -> Shown:
    """Return a value without an interval."""
    return (value, math.nan, math.nan), text


def ends(y: Numbers, low: Numbers, high: Numbers) -> Iterator[float]:
    """Yield values and the ends of their intervals, as far as a figure shows them."""
    for place, value in enumerate(y):
        if value is not None:
            yield value
            yield max((low[place] if low else None) or value, value / CUT)
            yield min((high[place] if high else None) or value, value * CUT)


def row_values(rows: Sequence[Measurement], table: pd.DataFrame) -> dict[str, Values]:
    """Return what each figure along the axis shows of rows, by the figure's id.

    Args:
        rows: The rows.
        table: The same as a frame.
    """
    times, throughputs = values(table, "time"), values(table, "throughput")
    by_row: Mapping[str, Iterable[Shown]] = {
        "time": map(_time, rows, times),
        "memory": map(_memory, rows),
        "throughput": map(_throughput, rows, throughputs),
        "state": map(_state, rows),
        "approximation": map(_approximation, rows),
    }
    return {name: columns(shown) for name, shown in by_row.items()}


def error_values(rows: Sequence[Measurement]) -> dict[str, Errors]:
    """Return the error of each tensor, by its name; under the empty name, the share of the worst."""
    tensors = dict.fromkeys(name for row in rows for name in row.errors)
    found = {"": Errors(columns(map(_worst, rows)), (1.0,) * len(rows))}
    for tensor in tensors:

        def shown(row: Measurement, tensor: str = tensor) -> Shown:
            return _error(row, tensor, lambda error, _: error)

        tolerances = (row.errors[tensor].tolerance if tensor in row.errors else math.nan for row in rows)
        found[tensor] = Errors(columns(map(shown, rows)), tuple(map(rounded, tolerances)))
    return found


def untimed(row: Measurement) -> str | None:
    """Return why a row has no time that a log axis can show, or None if it has one."""
    if row.time is None:
        return NOT_TIMED
    return None if row.time.median_s > 0 else ZERO_TIME


def _time(row: Measurement, value: Value) -> Shown:
    time = row.time
    if time is None:
        return NOT_TIMED
    text = f"{format.seconds_interval(time.median_s, time.ci_low_s, time.ci_high_s)}, n = {time.n}"
    return (value, text) if time.median_s > 0 else plain(0.0, text)


def _memory(row: Measurement) -> Shown:
    if row.memory is None:
        return "its memory was not recorded"
    return plain(row.memory.extra_bytes, f"{format.size(row.memory.extra_bytes)} ({row.memory.meter})")


def _throughput(row: Measurement, value: Value) -> Shown:
    rate, low, high = map(format.rate, value)
    return untimed(row) or (value, f"{rate} [{low}, {high}] tokens/s")


def _state(row: Measurement) -> Shown:
    if row.memory is None:
        return "its state was not recorded"
    state = row.memory.state_bytes
    return plain(state, format.size(state)) if state else "it has no state"


def _approximation(row: Measurement) -> Shown:
    if not row.approximation:
        return "it approximates nothing"
    distance = max(row.approximation.values())
    return plain(distance, format.digits(distance))


def _worst(row: Measurement) -> Shown:
    if row.worst_tensor is None:
        return "its error was not recorded"
    return _error(
        row, row.worst_tensor, lambda error, tolerance: error / tolerance if tolerance > 0 else math.inf
    )


def _error(row: Measurement, tensor: str, value: Callable[[float, float], float]) -> Shown:
    error = row.errors.get(tensor)
    if error is None:
        return f"it has no {tensor}"
    if error.nonfinite or not math.isfinite(error.rel_l2):
        return f"{tensor} has {format.count(error.nonfinite)} elements that are not finite"
    text = f"{tensor}: {format.digits(error.rel_l2)}, tolerance {format.digits(error.tolerance)}"
    return plain(value(error.rel_l2, error.tolerance), text)
