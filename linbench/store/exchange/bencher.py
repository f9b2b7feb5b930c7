"""Bencher Metric Format (BMF): benchmark, then measure, then value with its lower and upper end.

Source: the reference of bencher.dev on the Bencher Metric Format. Bencher's own measure `latency` is in
nanoseconds; `extra-bytes` is a measure of linbench, in bytes.
"""

from __future__ import annotations

import json
from pathlib import Path

from linbench.core.measurement import Measurement
from linbench.core.run import Run
from linbench.store.exchange.export import label, rows_without_time

Metric = dict[str, float]


def write(run: Run, path: Path) -> list[str]:
    """Write the times and memory of a run; return the rows that have no time."""
    metrics = {label(row): _measures(row) for row in run.measurements if row.time is not None}
    path.write_text(json.dumps(metrics, indent=1, allow_nan=False), encoding="utf-8")
    return rows_without_time(run)


def _measures(row: Measurement) -> dict[str, Metric]:
    measures: dict[str, Metric] = {}
    if row.time is not None:
        ends = {
            "value": row.time.median_s,
            "lower_value": row.time.ci_low_s,
            "upper_value": row.time.ci_high_s,
        }
        measures["latency"] = {name: seconds * 1e9 for name, seconds in ends.items()}
    if row.memory is not None:
        measures["extra-bytes"] = {"value": row.memory.extra_bytes}
    return measures
