"""Table: a run's rows flat, for a frame or a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from linbench.core import row
from linbench.core.measurement import Measurement
from linbench.core.roof import Roofs, bound_of, roofs_of
from linbench.core.row import Column
from linbench.core.run import Run

if TYPE_CHECKING:
    import pandas as pd

DERIVED: Final = {
    "tokens": "int64",
    "samples": "int64",
    "bound_s": "float64",
    "limit": "str",
    "share": "float64",
    "worst_tensor": "str",
    "rel_l2": "float64",
    "tolerance": "float64",
}
"""What a frame has beside the columns of a row, with its dtype."""

NESTED: Final = ("errors", "approximation")
"""Columns of a row that a frame has as one column a tensor instead."""


def _dtype(column: Column) -> str:
    """Return the dtype of a column in a frame; a count that may be missing has pandas' own."""
    if column.name == "processes":
        return "int64"
    known = {bool: "boolean", int: "Int64" if column.is_optional else "int64", float: "float64"}
    return known.get(column.base, "str")


COLUMNS: Final = (
    {"run": "str", "case_id": "str"}
    | {column.name: _dtype(column) for column in row.COLUMNS if column.name not in NESTED}
    | DERIVED
)
"""The columns that every frame has, with their dtypes; texts may be missing."""


def frame(found: Iterable[Run]) -> pd.DataFrame:
    """Return the rows of runs as a tidy frame, one row a measurement; docs/reference/formats.md has its columns."""
    import pandas as pd

    records = []
    for run in found:
        roofs = roofs_of(run.environment.ceilings.entries)
        records += [_record(measurement, run.id, roofs) for measurement in run.measurements]
    table = pd.DataFrame(records, columns=None if records else [*COLUMNS])
    return table.astype({name: kind for name, kind in COLUMNS.items() if kind != "str"})


def _record(measurement: Measurement, run: str, roofs: Roofs) -> dict[str, object]:
    """Return a row flat: axes as columns, what is nested as JSON, the errors of each tensor at the end."""
    record = row.to_row(measurement)
    for name in NESTED:
        del record[name]
    worst = measurement.errors.get(measurement.worst_tensor or "")
    bound = bound_of(roofs, measurement.case, measurement.work)
    time = measurement.time
    record = {name: _flat(value) for name, value in record.items()}
    record |= {
        "run": run,
        "case_id": measurement.case.id,
        "processes": len(time.processes) if time else 0,
        "flags": " ".join(measurement.flags),
        "tokens": measurement.case.tokens,
        "samples": time.n if time else 0,
        "bound_s": bound.seconds if bound else None,
        "limit": bound.limit if bound else None,
        "share": bound.seconds / time.median_s if bound and time and time.median_s else None,
        "worst_tensor": measurement.worst_tensor,
        "rel_l2": worst.rel_l2 if worst else None,
        "tolerance": worst.tolerance if worst else None,
    }
    distances = {f"rel_l2_{name}": error.rel_l2 for name, error in measurement.errors.items()}
    distances |= {f"approximation_{name}": value for name, value in measurement.approximation.items()}
    return {name: record[name] for name in COLUMNS} | distances


def _flat(value: object) -> object:
    """Return what is nested as JSON."""
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value
