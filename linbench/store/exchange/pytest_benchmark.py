"""pytest-benchmark JSON: read and written as `pytest --benchmark-json` writes it.

A record of pytest-benchmark was checked against nothing and names no case, so that it is no measurement: it
is kept as what it is, in `linbench.store.sessions`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import mean, median, quantiles, stdev
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from linbench.core.codec import encode
from linbench.core.errors import UsageError
from linbench.core.measurement import Measurement, Time
from linbench.core.run import Run
from linbench.store.exchange import untrusted
from linbench.store.exchange.export import label, why_no_time
from linbench.store.exchange.untrusted import Outside, validated
from linbench.store.row import pack, unpack
from linbench.store.sessions import PREFIX, Benchmark, Session

KNOWN_VERSIONS: Final = ("3", "4", "5")
FORMAT_VERSION: Final = "5.1.0"  # of pytest-benchmark, whose fields an exported run has

Seconds = Annotated[float, Field(ge=0, le=1e12)]
Text = Annotated[str, Field(min_length=1, max_length=4096)]


class Loose(Outside):
    """A record that has further keys, which are left out."""

    model_config = ConfigDict(extra="ignore")


class StatsRecord(Loose):
    """The statistics of a benchmark."""

    min: Seconds
    max: Seconds
    mean: Seconds
    stddev: Seconds
    rounds: Annotated[int, Field(ge=1)]
    median: Seconds
    iqr: Seconds
    q1: Seconds
    q3: Seconds
    iqr_outliers: Annotated[int, Field(ge=0)]
    stddev_outliers: Annotated[int, Field(ge=0)]
    outliers: Annotated[str, Field(max_length=64)]
    ld15iqr: Seconds
    hd15iqr: Seconds
    ops: Annotated[float, Field(ge=0)] | None = None
    total: Seconds | None = None
    iterations: Annotated[int, Field(ge=1)]
    data: Annotated[list[Seconds], Field(max_length=1_000_000)] | None = None


class BenchmarkRecord(Loose):
    """A benchmark."""

    group: str | None
    name: Text
    fullname: Text
    params: dict[str, Any] | None
    param: str | None = None
    extra_info: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any]
    stats: StatsRecord


class Document(Loose):
    """A file."""

    machine_info: dict[str, Any]
    commit_info: dict[str, Any]
    benchmarks: Annotated[list[BenchmarkRecord], Field(max_length=untrusted.MOST_ROWS)]
    datetime: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.+Z-]+$", max_length=40)]
    version: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+", max_length=32)]


def looks_like(data: Any) -> bool:
    """Return whether JSON data looks like a file of pytest-benchmark."""
    return isinstance(data, dict) and "benchmarks" in data and "machine_info" in data


def session(data: Any, name: str, imported_from: str | None) -> Session:
    """Return the session that a document describes.

    Args:
        data: The document as JSON data.
        name: What to call it in complaints.
        imported_from: Kept with the session.

    Raises:
        UsageError: It is no such document, or of a version of pytest-benchmark that is not known.
    """
    if looks_like(data) and str(data.get("version")).partition(".")[0] not in KNOWN_VERSIONS:
        raise UsageError(
            f"{name}: version: is of pytest-benchmark {untrusted.shortened(data.get('version'))}; known are "
            f"{', '.join(KNOWN_VERSIONS)}"
        )
    document = validated(Document, json.dumps(data), name)
    for number, record in enumerate(document.benchmarks):
        taken = record.stats.data
        if taken is not None and len(taken) != record.stats.rounds:
            raise UsageError(
                f"{name}: benchmarks.{number}.stats: data has {len(taken)} rounds where rounds is "
                f"{record.stats.rounds}"
            )
    try:
        written = datetime.fromisoformat(document.datetime)
    except ValueError:
        raise UsageError(f"{name}: datetime: {document.datetime!r} is no moment in ISO 8601") from None
    digest = hashlib.sha256(json.dumps(document.model_dump(), sort_keys=True).encode()).hexdigest()[:12]
    return Session(
        f"{PREFIX}{written:%Y%m%d-%H%M%S}-{digest}",
        document.datetime,
        document.version,
        document.machine_info,
        document.commit_info,
        tuple(map(_benchmark, document.benchmarks)),
        imported_from,
    )


def document(found: Session) -> dict[str, Any]:
    """Return the document that describes a session."""
    return {
        "machine_info": found.machine_info,
        "commit_info": found.commit_info,
        "benchmarks": [_record(benchmark) for benchmark in found.benchmarks],
        "datetime": found.created_at,
        "version": found.version,
    }


def write_session(found: Session, path: Path) -> None:
    """Write a session."""
    path.write_text(json.dumps(document(found), indent=1, allow_nan=False), encoding="utf-8")


def write(run: Run, path: Path) -> list[str]:
    """Write the rows of a run that have samples; return the others.

    A benchmark is named linbench::IMPLEMENTATION[CASE]; its statistics are of the samples, and its extra_info
    holds the row's own median over processes, with its interval, and the errors that were checked.
    """
    environment = run.environment
    host, code = environment.host, next(iter(environment.code), environment.harness)
    timed = [row for row in run.measurements if row.time and row.time.samples.time_s]
    found = Session(
        run.id,
        run.created_at,
        FORMAT_VERSION,
        {
            "node": "",
            "machine": "",
            "system": host.system,
            "python_version": host.python,
            "cpu": {"brand_raw": host.cpu, "count": host.cores},
            "gpus": [encode(gpu) for gpu in environment.gpus],
            "libraries": dict(environment.libraries),
        },
        {"id": code.commit or "", "dirty": bool(code.dirty), "project": code.name},
        tuple(_of_row(run, row, row.time) for row in timed if row.time),
    )
    write_session(found, path)
    return [
        f"{label(row)}: {why_no_time(row) if row.time is None else 'has no samples'}"
        for row in run.measurements
        if row.time is None or not row.time.samples.time_s
    ]


def statistics_of(samples_s: Sequence[float]) -> dict[str, Any]:
    """Return what pytest-benchmark says of rounds of one call each; quartiles are interpolated linearly."""
    ordered = sorted(samples_s)
    low, _, high = quantiles(ordered, n=4, method="inclusive") if len(ordered) > 1 else ordered * 3
    centre, spread = mean(ordered), stdev(ordered) if len(ordered) > 1 else 0.0
    reach = 1.5 * (high - low)
    inside = [value for value in ordered if low - reach <= value <= high + reach]
    far = sum(abs(value - centre) > spread for value in ordered)
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
        "iqr_outliers": len(ordered) - len(inside),
        "stddev_outliers": far,
        "outliers": f"{far};{len(ordered) - len(inside)}",
        "ld15iqr": inside[0],
        "hd15iqr": inside[-1],
        "ops": len(ordered) / total if total else 0.0,
        "total": total,
        "iterations": 1,
    }


def _of_row(run: Run, row: Measurement, time: Time) -> Benchmark:
    case = label(row).removeprefix(f"{row.implementation} ")
    return Benchmark(
        fullname=f"linbench::{row.implementation}[{case}]",
        name=f"{row.implementation}[{case}]",
        group=case,
        param=case,
        params=row.case.to_json(),
        extra_info={
            "linbench": run.environment.harness.version,
            "run": run.id,
            "median_s": time.median_s,
            "ci_low_s": time.ci_low_s,
            "ci_high_s": time.ci_high_s,
            "extra_bytes": row.memory.extra_bytes if row.memory else None,
            "rel_l2": {name: error.rel_l2 for name, error in row.errors.items()},
            "flags": list(row.flags),
        },
        options={"timer": f"linbench {time.timer}"},
        stats=statistics_of(time.samples.time_s),
        samples_s=time.samples.time_s,
    )


def _benchmark(record: BenchmarkRecord) -> Benchmark:
    stats: Mapping[str, Any] = record.stats.model_dump(exclude={"data"}, exclude_none=True)
    return Benchmark(
        record.fullname,
        record.name,
        record.group,
        record.param,
        record.params,
        record.extra_info,
        record.options,
        stats,
        tuple(unpack(pack(record.stats.data or ()))),
    )


def _record(found: Benchmark) -> dict[str, Any]:
    data = {"data": list(found.samples_s)} if found.samples_s else {}
    names = ("group", "name", "fullname", "params", "param", "extra_info", "options")
    return {name: getattr(found, name) for name in names} | {"stats": {**found.stats, **data}}
