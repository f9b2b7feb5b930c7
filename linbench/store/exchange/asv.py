"""airspeed velocity: a results file, version 2; an implementation is a benchmark, its cases the parameter.

Source: the developers' documentation of asv, on the layout of results. A failed result is null. asv stores a
99% interval, which a run does not have, so that it is null; the quartiles are those of the samples.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import quantiles
from typing import Final

from linbench.core.errors import UsageError
from linbench.core.measurement import Measurement
from linbench.core.run import Run
from linbench.store.exchange.export import label, rows_without_time

COLUMNS: Final = (
    *("result", "params", "version", "started_at", "duration", "stats_ci_99_a", "stats_ci_99_b"),
    *("stats_q_25", "stats_q_75", "stats_number", "stats_repeat", "samples", "profile"),
)


def write(run: Run, path: Path) -> list[str]:
    """Write the times of a run; return the rows without a time, which are null in the file.

    `date`, which should be the commit's, is the start of the run: a run does not store the commit's date.

    Raises:
        UsageError: The run has no single known commit, by which asv orders results.
    """
    environment = run.environment
    commits = {code.commit for code in environment.code}
    if len(commits) != 1 or None in commits:
        raise UsageError(
            f"--to asv: run {run.id} has no single commit, and asv stores results by commit; measure "
            "implementations from one git checkout"
        )
    (commit,) = commits
    host = environment.host
    started_at = int(datetime.fromisoformat(run.created_at).timestamp() * 1000)
    by_implementation: dict[str, list[Measurement]] = {}
    for row in run.measurements:
        by_implementation.setdefault(row.implementation, []).append(row)
    machine = next((gpu.name for gpu in environment.gpus), host.cpu)
    data = {
        "version": 2,
        "commit_hash": commit,
        "env_name": f"linbench-py{host.python}",
        "date": started_at,
        "params": {
            "machine": machine,
            "cpu": host.cpu,
            "num_cpu": str(host.cores),
            "ram": str(host.memory_bytes),
            "os": host.system,
            "python": host.python,
        },
        "python": host.python,
        "requirements": dict(environment.libraries),
        "env_vars": dict(environment.variables),
        "result_columns": list(COLUMNS),
        "results": {
            f"linbench.{name.replace('/', '.')}": _result(rows, started_at)
            for name, rows in by_implementation.items()
        },
        "durations": {},
    }
    path.write_text(json.dumps(data, indent=1, allow_nan=False), encoding="utf-8")
    return rows_without_time(run)


def _result(rows: Sequence[Measurement], started_at: int) -> list[object]:
    """Return a benchmark's values in the order of `COLUMNS`, without the trailing columns, which are null."""
    samples = [
        list(row.time.samples.time_s) if row.time and row.time.samples.time_s else None for row in rows
    ]
    quartiles = [_quartiles(times_s) if times_s else None for times_s in samples]
    values = {
        "result": [row.time.median_s if row.time else None for row in rows],
        "params": [[repr(label(row).removeprefix(f"{row.implementation} ")) for row in rows]],
        "started_at": started_at,
        "stats_q_25": [ends and ends[0] for ends in quartiles],
        "stats_q_75": [ends and ends[1] for ends in quartiles],
        "stats_number": [times_s and 1 for times_s in samples],
        "stats_repeat": [times_s and len(times_s) for times_s in samples],
        "samples": samples,
    }
    return [values.get(name) for name in COLUMNS[: COLUMNS.index("samples") + 1]]


def _quartiles(samples: Sequence[float]) -> tuple[float, float]:
    if len(samples) == 1:
        return samples[0], samples[0]
    low, _, high = quantiles(samples, n=4, method="inclusive")
    return low, high
