"""linbench JSON lines: a run as one line that says what it is, then one line a row.

The same form is written by `linbench export --to jsonl` and, without samples, beside the database while a run
goes on. `linbench-run.schema.json`, shipped beside this file, is the JSON Schema of a line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, TypeAdapter, model_validator

from linbench.core.case import Case
from linbench.core.codec import encode
from linbench.core.environment import Environment
from linbench.core.errors import UsageError
from linbench.core.measurement import MEMORY_BYTES, Measurement
from linbench.core.plan import Plan
from linbench.core.run import Run
from linbench.core.work import WORK
from linbench.store.exchange import untrusted
from linbench.store.exchange.untrusted import Outside, parse, validated
from linbench.store.row import pack, unpack
from linbench.text.quantity import LARGEST_COUNT

VERSION: Final = 2
KNOWN_VERSIONS: Final = (1, 2)  # the rows of the first carry no work
RUN_ID: Final = r"^[0-9]{8}-[0-9]{6}-[0-9a-f]{4}$"
MOST_SAMPLES: Final = 1_000_000
INTEGER_COLUMN: Final = 2**31 - 1

RunId = Annotated[str, Field(pattern=RUN_ID, max_length=20)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Short = Annotated[str, Field(max_length=32)]
Count = Annotated[int, Field(ge=1, le=LARGEST_COUNT)]
Natural = Annotated[int, Field(ge=0, le=INTEGER_COLUMN)]
Bytes = Annotated[int, Field(ge=0, le=untrusted.LARGEST_INTEGER)]
Seconds = Annotated[float, Field(ge=0, le=1e12)]
Distance = Annotated[float, Field(ge=0)]
Operations = Annotated[float, Field(ge=0)]
Moment = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9:]+)$", max_length=32)]
Scalar = bool | int | float | str


class CaseLine(Outside):
    """A case."""

    B: Count
    T: Count
    H: Count
    K: Count
    V: Count
    dtype: Literal["float64", "float32", "float16", "bfloat16"]
    mode: Literal["fwd", "fwd_bwd", "prefill", "decode"]
    device: Literal["cpu", "cuda"]
    options: dict[Name, Scalar]
    seed: Natural


class ErrorLine(Outside):
    """A tensor's distance from the oracle."""

    rel_l2: Distance
    max_abs: Distance
    max_rel: Distance
    cosine: float
    nonfinite: Natural
    budget: Distance
    by_position: list[Distance | None] = Field(default_factory=list, max_length=64)


class KernelLine(Outside):
    """A kernel that was launched."""

    name: str
    configuration: str
    hash: str
    registers: Natural | None = None
    spills: Natural | None = None
    shared_bytes: Natural | None = None


class SamplesLine(Outside):
    """What each timed call gave; a list that was not taken is empty."""

    samples_s: Annotated[list[Seconds], Field(min_length=1, max_length=MOST_SAMPLES)]
    cpu_s: Annotated[list[Seconds], Field(max_length=MOST_SAMPLES)]
    switches: Annotated[list[Natural], Field(max_length=MOST_SAMPLES)]
    kernels_s: Annotated[list[Seconds], Field(max_length=MOST_SAMPLES)]


NOT_OK_CARRIES_NOTHING: Final[dict[str, Any]] = {
    "if": {"properties": {"status": {"not": {"const": "ok"}}}},
    "then": {
        "properties": {
            "reason": {"type": "string", "minLength": 1},
            **{name: {"type": "null"} for name in ("median_s", "timer", "peak_bytes", "memory_meter", *WORK)},
            "n": {"const": 0},
            "samples": {"type": "null"},
        }
    },
}


class RowLine(Outside):
    """A measurement; only one that is ok has a time, memory, work or samples."""

    model_config = ConfigDict(json_schema_extra=NOT_OK_CARRIES_NOTHING)

    run: RunId
    operator: Name
    implementation: Name
    case_id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    case: CaseLine
    status: Literal[
        "ok", "wrong", "oom", "unsupported", "compile_error", "error", "timeout", "crashed", "skipped"
    ]
    reason: str | None
    timer: Short | None
    median_s: Seconds | None
    ci_low_s: Distance | None  # of two processes that differ much it has no bound to speak of
    ci_high_s: Distance | None
    cpu_median_s: Seconds | None
    kernels_median_s: Seconds | None
    anchor_median_s: Seconds | None
    n: Natural
    processes: Annotated[list[Natural], Field(max_length=1000)]
    first_call_s: Seconds | None
    deterministic: bool | None
    kernels: Annotated[list[KernelLine], Field(max_length=1000)]
    peak_bytes: Bytes | None
    extra_bytes: Bytes | None
    output_bytes: Bytes | None
    saved_bytes: Bytes | None
    workspace_bytes: Bytes | None
    state_bytes: Bytes | None
    reserved_bytes: Bytes | None
    memory_meter: Annotated[str, Field(max_length=16)] | None
    useful_flops: Operations | None = None
    algorithmic_flops: Operations | None = None
    fewest_bytes: Bytes | None = None
    errors: dict[Name, ErrorLine]
    approximation: dict[Name, Distance]
    telemetry: dict[str, Any]
    flags: Annotated[list[Short], Field(max_length=16)]
    measured_at: Short
    samples: SamplesLine | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Refuse a row whose parts contradict each other."""
        times = (self.timer, self.median_s, self.ci_low_s, self.ci_high_s)
        if len({value is None for value in times}) > 1:
            raise ValueError("timer, median_s, ci_low_s and ci_high_s stand together or not at all")
        if self.ci_low_s is not None and self.ci_high_s is not None and self.ci_low_s > self.ci_high_s:
            raise ValueError("ci_low_s is above ci_high_s")
        beside = (self.samples, self.cpu_median_s, self.kernels_median_s, self.anchor_median_s)
        if self.median_s is None and any(beside):
            raise ValueError("there are samples or medians beside a median_s that is null")
        if self.n != sum(self.processes) or (self.n > 0) != (self.median_s is not None):
            raise ValueError("n is not the sum of processes, or does not fit median_s")
        memory = (self.peak_bytes, self.extra_bytes, self.memory_meter)
        if len({value is None for value in memory}) > 1:
            raise ValueError("peak_bytes, extra_bytes and memory_meter stand together or not at all")
        if self.peak_bytes is None and any(getattr(self, name) is not None for name in MEMORY_BYTES):
            raise ValueError("there are parts of memory beside a peak_bytes that is null")
        if len({value is None for value in (self.useful_flops, self.fewest_bytes)}) > 1:
            raise ValueError("useful_flops and fewest_bytes stand together or not at all")
        if self.useful_flops is None and self.algorithmic_flops is not None:
            raise ValueError("there are algorithmic_flops beside useful_flops that are null")
        if self.samples is not None:
            if len(self.samples.samples_s) != self.n:
                raise ValueError(f"samples has {len(self.samples.samples_s)} samples_s where n is {self.n}")
            for name in ("cpu_s", "switches", "kernels_s"):
                if len(getattr(self.samples, name)) not in (0, self.n):
                    raise ValueError(f"samples has as many {name} as neither n nor 0")
        return self


class RunLine(Outside):
    """A run without its rows."""

    id: RunId
    created_at: Moment
    finished_at: Moment | None
    environment: Environment
    plan: Plan


class HeadLine(Outside):
    """The first line of a file."""

    linbench: Literal[1, 2]
    run: RunLine


def head(run: Run) -> dict[str, Any]:
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
    for found in run.measurements:
        row = found.to_row(run.id)
        if found.time is not None and found.time.samples_s:
            row["samples"] = {name: _short(getattr(found.time, name)) for name in SamplesLine.model_fields}
        yield json.dumps(row, allow_nan=False)


def is_head(line: Any) -> bool:
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
            if is_head(data) and data["linbench"] not in KNOWN_VERSIONS:
                raise UsageError(
                    f"{where}: is of version {untrusted.shortened(data['linbench'])}; this linbench knows "
                    f"{' and '.join(map(str, KNOWN_VERSIONS))}; upgrade it, or export anew"
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


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a line."""
    found: dict[str, Any] = TypeAdapter(HeadLine | RowLine).json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of linbench JSON lines, version {VERSION}: the head first, then a row a line",
        **found,
    }


def _short(samples: Sequence[float]) -> list[float]:
    """Return samples in nine digits, which are enough to tell every float32."""
    return [value if isinstance(value, int) else float(f"{value:.9g}") for value in samples]


def _measurement(data: Any, line: str, run: str, where: str) -> Measurement:
    row = validated(RowLine, line, where)
    if row.run != run:
        raise UsageError(f"{where}: run: is {row.run!r} where the first line says {run!r}")
    found = {key: value for key, value in data.items() if key != "samples"}
    if Case.from_json(row.case.model_dump()).id != row.case_id:
        raise UsageError(f"{where}: case_id: {row.case_id!r} is not the id of this case")
    try:
        return Measurement.from_row(found, _sequences(row.samples))
    except ValueError as error:  # what only an ok row may carry
        raise UsageError(f"{where}: {error}") from None


def _sequences(samples: SamplesLine | None) -> Mapping[str, tuple[float, ...]] | None:
    """Return samples as the store will give them back: rounded to float32."""
    if samples is None:
        return None
    found = {name: tuple(unpack(pack(getattr(samples, name)))) for name in SamplesLine.model_fields}
    return found | {"switches": tuple(map(int, found["switches"]))}
