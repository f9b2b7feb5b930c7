"""linbench JSON lines: a run as one line that says what it is, then one line a row.

The same form is written by `linbench export --to jsonl` and, without samples, beside the database while a run
goes on. `linbench-run.schema.json`, shipped beside this file, is the JSON Schema of a line.
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
from linbench.store.exchange.untrusted import Outside, parse, validated
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


def _json_row() -> type[Outside]:
    """Return the model of a row: a key per column, those of the case in an object of their own."""
    keys: dict[str, Any] = {"run": (RunId, ...), "case_id": (CaseId, ...), "case": (Case, ...)}
    for column in COLUMNS:
        if column.part != "case":
            kind = column.kind | None if column.is_optional else column.kind
            keys[column.name] = (kind, ...)
    keys["samples"] = (Samples | None, None)
    model = create_model("RowLine", __base__=Outside, **keys)
    model.__doc__ = "A measurement; only one that is ok has a time, memory, work or samples."
    model.model_config["json_schema_extra"] = NOT_OK_CARRIES_NOTHING
    return model


RowLine: Final = _json_row()


class RunLine(Outside):
    """A run without its rows."""

    id: RunId
    created_at: Moment
    finished_at: Moment | None
    environment: Environment
    plan: Plan


class HeadLine(Outside):
    """The first line of a file."""

    linbench: Literal[3]
    run: RunLine


def head(run: Run) -> dict[str, object]:
    """Return the first line of a run's file as JSON data."""
    named = {name: getattr(run, name) for name in ("id", "created_at", "finished_at")}
    named |= {"environment": encode(run.environment), "plan": encode(run.plan)}
    return {"linbench": VERSION, "run": named}


def write(run: Run, path: Path) -> list[str]:
    """Write a run, whole; return what was left out: nothing."""
    path.write_text("".join(f"{line}\n" for line in lines(run)), encoding="utf-8")
    return []


def lines(run: Run) -> Iterator[str]:
    """Yield the lines of a run's file, with the samples that were read."""
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
    """Return the run that a file holds; where a row stands twice, the later counts.

    Args:
        text: The file's.
        name: What to call it in complaints.
        imported_from: Kept with the run.

    Raises:
        UsageError: It is not such a file; the line, and the field in it, are named.
    """
    rows: dict[tuple[str, str], Measurement] = {}
    start: RunLine | None = None
    written = text.split("\n")
    if written[-1] == "":
        written.pop()
    if len(written) > untrusted.MOST_ROWS + 1:
        raise UsageError(f"{name}: holds more than {untrusted.MOST_ROWS:,} rows")
    for number, line in enumerate(written, 1):
        where = f"{name}: line {number}"
        data = parse(line, where)
        if start is None:
            if is_head(data) and data["linbench"] != VERSION:
                raise UsageError(
                    f"{where}: is of version {untrusted.shortened(data['linbench'])}; this linbench knows "
                    f"{VERSION}; upgrade it, or export anew"
                )
            start = validated(HeadLine, line, where).run
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
    found = TypeAdapter[object](lines).json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of linbench JSON lines, version {VERSION}: the head first, then a row a line",
        **found,
    }


def _short(samples: Sequence[float]) -> list[float]:
    """Return samples in nine digits, which are enough to tell every float32."""
    return [value if isinstance(value, int) else float(f"{value:.9g}") for value in samples]


def _measurement(data: Any, line: str, run: str, where: str) -> Measurement:
    validated(RowLine, line, where)
    if data["run"] != run:
        raise UsageError(f"{where}: run: is {data['run']!r} where the first line says {run!r}")
    samples = data.get("samples")
    try:
        measurement = from_row(data | data["case"], samples and _stored(samples))
    except ValueError as error:  # parts that contradict each other
        raise UsageError(f"{where}: {error}") from None
    if measurement.case.id != data["case_id"]:
        raise UsageError(f"{where}: case_id: {data['case_id']!r} is not the id of this case")
    return measurement


def _stored(samples: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return samples as the store will give them back: rounded to float32."""
    return {name: unpack(pack(samples.get(name, ()))) for name in CHANNELS}


if __name__ == "__main__":
    json.dump(schema(), sys.stdout, indent=1)
    sys.stdout.write("\n")
