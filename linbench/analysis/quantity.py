"""Quantity: a metric to plot against an axis, and its values in the rows of a table, with their intervals."""

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
    """A metric that can be plotted against an axis.

    Attributes:
        column: Its column in the table of points, unit included; _low and _high hold its interval.
        title: Its name, for a label.
        less_is_better: Whether lower values are better.
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
    rows: pd.DataFrame, name: str, key_columns: Sequence[str] = (), baseline: str | None = None
) -> list[Value]:
    """Return the quantity of each row with the ends of its interval; NaN where there is none.

    Args:
        rows: A table of measurements.
        name: One of `QUANTITIES`.
        key_columns: Columns in which a row and the row of its baseline are equal.
        baseline: The implementation that speed-ups are relative to; its own are 1, without an interval.
    """
    if name in ("memory", "error"):
        column = rows["extra_bytes" if name == "memory" else "rel_l2"].astype("Float64")
        ok = rows["status"] == Status.OK
        numbers = column.where(ok).to_numpy("float64", na_value=math.nan)
        return [(value, math.nan, math.nan) for value in numbers]
    times = [
        Estimate.over_processes(median, low, high, processes) if median > 0 else None
        for median, low, high, processes in zip(
            *(rows[column] for column in ("median_s", "ci_low_s", "ci_high_s", "processes")), strict=True
        )
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
    keys = list(zip(*(rows[column] for column in key_columns), strict=True))
    return _speedups(times, list(rows["implementation"]), keys, baseline)


def _speedups(
    times: Sequence[Estimate | None],
    names: Sequence[str],
    keys: Sequence[tuple[Hashable, ...]],
    baseline: str | None,
) -> list[Value]:
    """Return the speed-up of each time relative to the baseline's time with the same key."""
    entries = list(zip(keys, names, times, strict=True))
    baseline_times = {key: time for key, name, time in entries if name == baseline and time}
    speedups = []
    for key, name, time in entries:
        baseline_time = baseline_times.get(key)
        if time is None or baseline_time is None:
            speedups.append(NONE)
        elif name == baseline:
            speedups.append((1.0, math.nan, math.nan))
        else:
            ratio = speedup(time, baseline_time)
            speedups.append((ratio.value, ratio.low, ratio.high))
    return speedups
