"""pytest-benchmark JSON: a run in the format that `pytest --benchmark-json` writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median, quantiles, stdev
from typing import Final

from linbench.core.codec import encode
from linbench.core.measurement import Measurement, Time
from linbench.core.run import Run
from linbench.store.exchange.export import label, missing_time_reason

FORMAT_VERSION: Final = "5.1.0"  # the version of pytest-benchmark whose fields an exported run has


def write(run: Run, path: Path) -> list[str]:
    """Write the rows of a run that have samples; return the other rows.

    A benchmark is named linbench::IMPLEMENTATION[CASE]; its statistics are those of the samples, and its
    extra_info contains the row's own median over processes with its interval, and the checked errors.
    """
    environment = run.environment
    host, code = environment.host, next(iter(environment.code), environment.harness)
    document = {
        "machine_info": {
            "node": "",
            "machine": "",
            "system": host.system,
            "python_version": host.python,
            "cpu": {"brand_raw": host.cpu, "count": host.cores},
            "gpus": [encode(gpu) for gpu in environment.gpus],
            "libraries": dict(environment.libraries),
        },
        "commit_info": {"id": code.commit or "", "dirty": bool(code.dirty), "project": code.name},
        "benchmarks": [
            _benchmark(run, row, row.time) for row in run.measurements if row.time and row.time.samples.time_s
        ],
        "datetime": run.created_at,
        "version": FORMAT_VERSION,
    }
    path.write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
    return [
        f"{label(row)}: {missing_time_reason(row) if row.time is None else 'has no samples'}"
        for row in run.measurements
        if row.time is None or not row.time.samples.time_s
    ]


def _benchmark(run: Run, row: Measurement, time: Time) -> dict[str, object]:
    case = label(row).removeprefix(f"{row.implementation} ")
    return {
        "group": case,
        "name": f"{row.implementation}[{case}]",
        "fullname": f"linbench::{row.implementation}[{case}]",
        "params": row.case.to_json(),
        "param": case,
        "extra_info": {
            "linbench": run.environment.harness.version,
            "run": run.id,
            "median_s": time.median_s,
            "ci_low_s": time.ci_low_s,
            "ci_high_s": time.ci_high_s,
            "extra_bytes": row.memory.extra_bytes if row.memory else None,
            "rel_l2": {name: error.rel_l2 for name, error in row.errors.items()},
            "flags": list(row.flags),
        },
        "options": {"timer": f"linbench {time.timer}"},
        "stats": _statistics(time.samples.time_s),
    }


def _statistics(samples_s: Sequence[float]) -> dict[str, object]:
    """Return pytest-benchmark's statistics of rounds of one call; quartiles are interpolated linearly."""
    ordered = sorted(samples_s)
    low, _, high = quantiles(ordered, n=4, method="inclusive") if len(ordered) > 1 else ordered * 3
    centre, spread = mean(ordered), stdev(ordered) if len(ordered) > 1 else 0.0
    reach = 1.5 * (high - low)
    inliers = [value for value in ordered if low - reach <= value <= high + reach]
    outliers = sum(abs(value - centre) > spread for value in ordered)
    total = sum(ordered)
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": centre,
        "stddev": spread,
        "rounds": len(ordered),
        "median": median(ordered),
        "iqr": high - low,
        "q1": low,
        "q3": high,
        "iqr_outliers": len(ordered) - len(inliers),
        "stddev_outliers": outliers,
        "outliers": f"{outliers};{len(ordered) - len(inliers)}",
        "ld15iqr": inliers[0],
        "hd15iqr": inliers[-1],
        "ops": len(ordered) / total if total else 0.0,
        "total": total,
        "iterations": 1,
        "data": list(samples_s),
    }
