"""airspeed velocity: a results file, version 2; an implementation is a benchmark, its cases the parameter.

Source: the developers' documentation of asv, on the layout of results. A failed result is null there. asv
keeps a 99% interval, which a run does not have, so that it is left null; quartiles are of the samples.
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
from linbench.store.exchange.export import label, without_time

COLUMNS: Final = (
    *("result", "params", "version", "started_at", "duration", "stats_ci_99_a", "stats_ci_99_b"),
    *("stats_q_25", "stats_q_75", "stats_number", "stats_repeat", "samples", "profile"),
)


def write(run: Run, path: Path) -> list[str]:
    """Write the times of a run; return the rows that have none, which are null in the file.

    `date`, which should be the commit's, is when the run began: a run does not keep the other.

    Raises:
        UsageError: The run's commit is not known, by which asv orders results.
    """
    environment = run.environment
    commits = {code.commit for code in environment.code}
    if len(commits) != 1 or None in commits:
        raise UsageError(
            f"--to asv: run {run.id} is not of one commit, and asv files results by commit; measure "
            "implementations of one git checkout"
        )
    (commit,) = commits
    host = environment.host
    began = int(datetime.fromisoformat(run.created_at).timestamp() * 1000)
    by_implementation: dict[str, list[Measurement]] = {}
    for row in run.measurements:
        by_implementation.setdefault(row.implementation, []).append(row)
    machine = next((gpu.name for gpu in environment.gpus), host.cpu)
    data = {
        "version": 2,
        "commit_hash": commit,
        "env_name": f"linbench-py{host.python}",
        "date": began,
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
            f"linbench.{name.replace('/', '.')}": _result(rows, began)
            for name, rows in by_implementation.items()
        },
        "durations": {},
    }
    path.write_text(json.dumps(data, indent=1, allow_nan=False), encoding="utf-8")
    return without_time(run)


def _result(rows: Sequence[Measurement], began: int) -> list[object]:
    """Return a benchmark's values in the order of `COLUMNS`, less the last, which are null."""
    samples = [
        list(row.time.samples.time_s) if row.time and row.time.samples.time_s else None for row in rows
    ]
    quartiles = [_quartiles(taken) if taken else None for taken in samples]
    values = {
        "result": [row.time.median_s if row.time else None for row in rows],
        "params": [[repr(label(row).removeprefix(f"{row.implementation} ")) for row in rows]],
        "started_at": began,
        "stats_q_25": [ends and ends[0] for ends in quartiles],
        "stats_q_75": [ends and ends[1] for ends in quartiles],
        "stats_number": [taken and 1 for taken in samples],
        "stats_repeat": [taken and len(taken) for taken in samples],
        "samples": samples,
    }
    return [values.get(name) for name in COLUMNS[: COLUMNS.index("samples") + 1]]


def _quartiles(samples: Sequence[float]) -> tuple[float, float]:
    if len(samples) == 1:
        return samples[0], samples[0]
    low, _, high = quantiles(samples, n=4, method="inclusive")
    return low, high
