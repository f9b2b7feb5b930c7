"""Table: a run's rows flat, for a frame or a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from linbench.core.measurement import MEMORY_BYTES, Measurement
from linbench.core.roof import Roofs, bound_of, roofs_of
from linbench.core.run import Run

if TYPE_CHECKING:
    import pandas as pd

# The columns that every frame has, with their dtype where pandas would not find it: a count may be missing.
COLUMNS: Final = {
    **dict.fromkeys(("run", "operator", "implementation", "case_id"), ""),
    **dict.fromkeys(("B", "T", "H", "K", "V"), "int64"),
    **dict.fromkeys(("dtype", "mode", "device", "options"), ""),
    **{"seed": "int64", "tokens": "int64", "status": "", "reason": "", "timer": ""},
    **dict.fromkeys(("median_s", "ci_low_s", "ci_high_s"), "float64"),
    **dict.fromkeys(("cpu_median_s", "kernels_median_s", "anchor_median_s"), "float64"),
    **{"samples": "int64", "processes": "int64", "first_call_s": "float64", "deterministic": "boolean"},
    **dict.fromkeys(MEMORY_BYTES, "Int64"),
    "memory_meter": "",
    **{"useful_flops": "float64", "algorithmic_flops": "float64", "fewest_bytes": "Int64"},
    **{"bound_s": "float64", "limit": "", "share": "float64"},
    **{"worst_tensor": "", "rel_l2": "float64", "budget": "float64"},
    **dict.fromkeys(("flags", "measured_at", "kernels", "telemetry"), ""),
}


def frame(found: Iterable[Run]) -> pd.DataFrame:
    """Return the rows of runs as a tidy frame, one row a measurement; docs/notebook.md has its columns."""
    import pandas as pd

    records = []
    for run in found:
        roofs = roofs_of(run.environment.ceilings.entries)
        records += [_record(row, run.id, roofs) for row in run.measurements]
    table = pd.DataFrame(records, columns=None if records else [*COLUMNS])
    return table.astype({name: kind for name, kind in COLUMNS.items() if kind})


def _record(measurement: Measurement, run: str, roofs: Roofs) -> dict[str, Any]:
    """Return a row flat: axes as columns, what is nested as JSON, the errors of each tensor at the end."""
    row = measurement.to_row(run)
    case, errors, approximation = row.pop("case"), row.pop("errors"), row.pop("approximation")
    worst = measurement.errors.get(measurement.worst_tensor or "")
    bound = bound_of(roofs, measurement.case, measurement.work)
    time_s = measurement.time.median_s if measurement.time else 0.0
    row |= case | {
        "options": json.dumps(case["options"], sort_keys=True),
        "tokens": measurement.case.tokens,
        "samples": row.pop("n"),
        "processes": len(row["processes"]),
        "bound_s": bound.seconds if bound else None,
        "limit": bound.limit if bound else None,
        "share": bound.seconds / time_s if bound and time_s else None,
        "worst_tensor": measurement.worst_tensor,
        "rel_l2": worst.rel_l2 if worst else None,
        "budget": worst.budget if worst else None,
        "flags": " ".join(row["flags"]),
        "kernels": json.dumps(row["kernels"], sort_keys=True),
        "telemetry": json.dumps(row["telemetry"], sort_keys=True),
    }
    distances = {f"rel_l2_{name}": error["rel_l2"] for name, error in errors.items()}
    distances |= {f"approximation_{name}": value for name, value in approximation.items()}
    return {name: row[name] for name in COLUMNS} | distances
