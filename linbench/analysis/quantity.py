"""Quantity: what can be set against an axis, and its values in the rows of a table, with their intervals."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from linbench.core.measurement import Status
from linbench.statistics.estimate import Estimate, speedup

Value = tuple[float, float, float]
"""A value and the ends of its 95% interval; NaN where there is none."""

NONE: Final = (math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Quantity:
    """What can be plotted against an axis.

    Attributes:
        column: Its column in the table of points, unit included; _low and _high stand beside it.
        title: What it is, for a label.
        less_is_better: Whether the best value is the least one.
    """

    column: str
    title: str
    less_is_better: bool = True


QUANTITIES: Final = {
    "time": Quantity("time_s", "time per call"),
    "memory": Quantity("memory_bytes", "memory above inputs"),
    "error": Quantity("error_rel_l2", "relative L2 error"),
    "speedup": Quantity("speedup", "speed-up", less_is_better=False),
    "throughput": Quantity("throughput_tokens_per_s", "throughput", less_is_better=False),
}


def values(
    rows: pd.DataFrame, name: str, beside: Sequence[str] = (), baseline: str | None = None
) -> list[Value]:
    """Return a quantity of each row with the ends of its interval; NaN where there is none.

    Args:
        rows: A table of measurements.
        name: One of `QUANTITIES`.
        beside: Columns that are the same in a row and in the one that its speed-up is over.
        baseline: The implementation that speed-ups are over; its own are 1, without an interval.
    """
    if name in ("memory", "error"):
        column = rows["extra_bytes" if name == "memory" else "rel_l2"].astype("Float64")
        ok = rows["status"] == Status.OK
        plain = column.where(ok).to_numpy("float64", na_value=math.nan)
        return [(value, math.nan, math.nan) for value in plain]
    times = [
        Estimate(*triple) if triple[0] > 0 else None
        for triple in zip(rows["median_s"], rows["ci_low_s"], rows["ci_high_s"], strict=True)
    ]
    if name == "time":
        return [(time.value, time.low, time.high) if time else NONE for time in times]
    if name == "throughput":
        return [
            (tokens / time.value, tokens / time.high, tokens / time.low if time.low > 0 else math.inf)
            if time
            else NONE
            for time, tokens in zip(times, rows["tokens"], strict=True)
        ]
    places = list(zip(*(rows[column] for column in beside), strict=True))
    return _speedups(times, list(rows["implementation"]), places, baseline)


def _speedups(
    times: Sequence[Estimate | None],
    names: Sequence[str],
    places: Sequence[tuple[Hashable, ...]],
    baseline: str | None,
) -> list[Value]:
    """Return the speed-up of each time over that of the baseline in the same place."""
    every = list(zip(places, names, times, strict=True))
    against = {place: time for place, name, time in every if name == baseline and time}
    found = []
    for place, name, time in every:
        other = against.get(place)
        if time is None or other is None:
            found.append(NONE)
        elif name == baseline:
            found.append((1.0, math.nan, math.nan))
        else:
            ratio = speedup(time, other)
            found.append((ratio.value, ratio.low, ratio.high))
    return found
