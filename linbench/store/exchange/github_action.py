"""github-action-benchmark: a JSON list of numbers, of which smaller is better (customSmallerIsBetter).

Source: the README and the type BenchmarkResult of benchmark-action/github-action-benchmark: name, unit and
value, with range and extra as texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from linbench.core.measurement import Measurement
from linbench.core.run import Run
from linbench.store.exchange.export import label, rows_without_time


def write(run: Run, path: Path) -> list[str]:
    """Write the times (s) and memory (bytes) of a run; return the rows that have no time."""
    entries = [entry for row in run.measurements for entry in _entries(row)]
    path.write_text(json.dumps(entries, indent=1, allow_nan=False), encoding="utf-8")
    return rows_without_time(run)


def _entries(row: Measurement) -> Iterator[dict[str, object]]:
    if row.time is None:
        return
    time = row.time
    yield {
        "name": label(row),
        "unit": "s",
        "value": time.median_s,
        "range": f"95% interval {time.ci_low_s:.6g} to {time.ci_high_s:.6g}",
        "extra": "\n".join([f"{time.n} samples", f"timer {time.timer}", *row.flags]),
    }
    if row.memory is not None:
        yield {"name": f"{label(row)} memory", "unit": "bytes", "value": row.memory.extra_bytes}
