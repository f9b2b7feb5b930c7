"""Table: a run's rows flat, for a frame or a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linbench.core.errors import UsageError
from linbench.core.run import Run

if TYPE_CHECKING:
    import pandas as pd

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


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


def write_table(run: Run, form: str, path: Path) -> None:
    """Write a run's rows to a file; the whole file or nothing.

    Args:
        run: What to write.
        form: csv, jsonl (as `linbench run --format json` prints it) or parquet.
        path: Where to.

    Raises:
        UsageError: The file cannot be written, or pyarrow is not installed.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file in it")
    part = path.with_name(path.name + ".part")
    try:
        if form == "jsonl":
            lines = (json.dumps(found.to_row(run.id)) + "\n" for found in run.measurements)
            part.write_text("".join(lines), encoding="utf-8")
        elif form == "csv":
            table = frame([run])
            words = table.select_dtypes(exclude="number").columns
            table[words] = table[words].map(_harmless)
            table.to_csv(part, index=False)
        else:
            frame([run]).to_parquet(part, index=False)
        part.replace(path)
    except ImportError:
        raise UsageError("--to parquet needs pyarrow; pip install 'linbench[parquet]'") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None


def _harmless(value: Any) -> Any:
    """Return a text that a spreadsheet will not take for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
