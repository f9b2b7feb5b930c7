"""linbench JSON lines: a run as one line that describes it, then one line per row.

`linbench export --to jsonl` writes this format; a run in progress writes it too, without samples, next to the
database. `linbench-run.schema.json`, in the same folder as this file, is the JSON Schema of a line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter, create_model

from linbench.core.case import Case
from linbench.core.codec import encode
from linbench.core.environment import Environment
from linbench.core.errors import UsageError
from linbench.core.measurement import Measurement
from linbench.core.plan import Plan
from linbench.core.row import COLUMNS, REQUIRED, columns_of, from_row, to_row
from linbench.core.run import Run
from linbench.core.samples import CHANNELS, Samples
from linbench.store.exchange import untrusted
from linbench.store.exchange.untrusted import StrictModel, parse, validate
from linbench.store.row import pack, unpack

VERSION: Final = 3
RUN_ID: Final = r"^[0-9]{8}-[0-9]{6}-[0-9a-f]{4}$"
MOMENT: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9:]+)$"

RunId = Annotated[str, Field(pattern=RUN_ID, max_length=20)]
Moment = Annotated[str, Field(pattern=MOMENT, max_length=32)]
CaseId = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]

NOT_OK_CARRIES_NOTHING: Final[dict[str, Any]] = {
    "if": {"properties": {"status": {"not": {"const": "ok"}}}},
    "then": {
        "properties": {
            "reason": {"type": "string", "minLength": 1},
            **{name: {"type": "null"} for part in ("time", "memory", "work") for name in REQUIRED[part]},
            "samples": {"type": "null"},
        }
    },
}


def _json_row() -> type[StrictModel]:
    """Return the model of a row: one key per column, with the columns of the case in a nested object."""
    keys: dict[str, Any] = {"run": (RunId, ...), "case_id": (CaseId, ...), "case": (Case, ...)}
    for column in COLUMNS:
        if column.part != "case":
            kind = column.kind | None if column.is_optional else column.kind
            keys[column.name] = (kind, ...)
    keys["samples"] = (Samples | None, None)
    model = create_model("RowLine", __base__=StrictModel, **keys)
    model.__doc__ = "A measurement; only one that is ok has a time, memory, work or samples."
    model.model_config["json_schema_extra"] = NOT_OK_CARRIES_NOTHING
    return model


RowLine: Final = _json_row()


class RunLine(StrictModel):
    """A run without its rows."""

    id: RunId
    created_at: Moment
    finished_at: Moment | None
    environment: Environment
    plan: Plan


class HeadLine(StrictModel):
    """The first line of a file."""

    linbench: Literal[3]
    run: RunLine


def head(run: Run) -> dict[str, object]:
    """Return the first line of a run's file as JSON data."""
    fields = {name: getattr(run, name) for name in ("id", "created_at", "finished_at")}
    fields |= {"environment": encode(run.environment), "plan": encode(run.plan)}
    return {"linbench": VERSION, "run": fields}


def write(run: Run, path: Path) -> list[str]:
    """Write a complete run; return an empty list, because nothing is omitted."""
    path.write_text("".join(f"{line}\n" for line in lines(run)), encoding="utf-8")
    return []


def lines(run: Run) -> Iterator[str]:
    """Yield the lines of a run's file, with the samples of the rows that have them."""
    yield json.dumps(head(run), allow_nan=False)
    for measurement in run.measurements:
        line = json_row(measurement, run.id)
        if measurement.time is not None and len(measurement.time.samples):
            samples = measurement.time.samples
            line["samples"] = {name: _short(getattr(samples, name)) for name in CHANNELS}
        yield json.dumps(line, allow_nan=False)


def json_row(measurement: Measurement, run: str) -> dict[str, object]:
    """Return the line of a row as JSON data, without samples."""
    row = to_row(measurement)
    case = {column.name: row.pop(column.name) for column in columns_of("case")}
    return {"run": run, "case_id": measurement.case.id, "case": case, **row}


def is_head(line: object) -> bool:
    """Return whether JSON data looks like the first line of such a file."""
    return isinstance(line, dict) and "linbench" in line


def read(text: str, name: str, imported_from: str) -> Run:
    """Return the run that a file contains; if a row occurs twice, the later one counts.

    Args:
        text: Contents of the file.
        name: Name of the file in error messages.
        imported_from: Stored with the run.

    Raises:
        UsageError: The file is invalid; the message names the line and the field.
    """
    rows: dict[tuple[str, str], Measurement] = {}
    start: RunLine | None = None
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if len(lines) > untrusted.MOST_ROWS + 1:
        raise UsageError(f"{name}: holds more than {untrusted.MOST_ROWS:,} rows")
    for number, line in enumerate(lines, 1):
        where = f"{name}: line {number}"
        data = parse(line, where)
        if start is None:
            if is_head(data) and data["linbench"] != VERSION:
                raise UsageError(
                    f"{where}: has version {untrusted.shorten(data['linbench'])}; this linbench reads "
                    f"version {VERSION}; upgrade linbench, or export the run again"
                )
            start = validate(HeadLine, line, where).run
            continue
        row = _measurement(data, line, start.id, where)
        rows.pop((row.implementation, row.case.id), None)
        rows[row.implementation, row.case.id] = row
    if start is None:
        raise UsageError(f"{name}: is empty")
    return Run(
        start.id,
        start.created_at,
        start.finished_at,
        start.environment,
        start.plan,
        tuple(rows.values()),
        imported_from,
    )


def schema() -> dict[str, object]:
    """Return the JSON Schema of a line."""
    lines: Any = HeadLine | RowLine
    definitions = TypeAdapter[object](lines).json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of linbench JSON lines, version {VERSION}: the head first, then one row per line",
        **definitions,
    }


def _short(samples: Sequence[float]) -> list[float]:
    """Return samples with nine digits, which represent every float32 uniquely."""
    return [value if isinstance(value, int) else float(f"{value:.9g}") for value in samples]


def _measurement(data: Any, line: str, run: str, where: str) -> Measurement:
    validate(RowLine, line, where)
    if data["run"] != run:
        raise UsageError(f"{where}: run: {data['run']!r} differs from {run!r} in the first line")
    samples = data.get("samples")
    try:
        measurement = from_row(data | data["case"], samples and _round_to_float32(samples))
    except ValueError as error:  # inconsistent parts
        raise UsageError(f"{where}: {error}") from None
    if measurement.case.id != data["case_id"]:
        raise UsageError(f"{where}: case_id: {data['case_id']!r} is not the id of this case")
    return measurement


def _round_to_float32(samples: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return samples as the store returns them: rounded to float32."""
    return {name: unpack(pack(samples.get(name, ()))) for name in CHANNELS}


if __name__ == "__main__":
    json.dump(schema(), sys.stdout, indent=1)
    sys.stdout.write("\n")
