"""Table: a run's rows flat, for a frame or a file of columns."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from linbench.core.run import Run

if TYPE_CHECKING:
    import pandas as pd


def flat_rows(run: Run) -> list[dict[str, Any]]:
    """Return one flat record a row: axes as columns, errors as rel_l2_o, what is nested as JSON."""
    records = []
    for measurement in run.measurements:
        row = measurement.to_row(run.id)
        case, errors, approximation = row.pop("case"), row.pop("errors"), row.pop("approximation")
        case["options"] = json.dumps(case["options"], sort_keys=True)
        row["flags"] = " ".join(row["flags"])
        row |= {name: json.dumps(row[name], sort_keys=True) for name in ("kernels", "telemetry")}
        distances = {f"rel_l2_{name}": error["rel_l2"] for name, error in errors.items()}
        distances |= {f"approximation_{name}": value for name, value in approximation.items()}
        records.append({**row, **case, **distances})
    return records


def frame(found: Iterable[Run]) -> pd.DataFrame:
    """Return the rows of runs as a tidy frame, one row a measurement."""
    import pandas as pd

    return pd.DataFrame([record for run in found for record in flat_rows(run)])
