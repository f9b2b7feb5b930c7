"""Export: writes a stored run to a file in one of the supported formats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Final

from linbench.core.errors import UsageError
from linbench.core.measurement import Measurement, Status
from linbench.core.run import Run

SUFFIXES: Final = {
    "csv": "csv",
    "jsonl": "jsonl",
    "parquet": "parquet",
    "pytest-benchmark": "pytest-benchmark.json",
    "github-action": "github-action.json",
    "bencher": "bencher.json",
    "asv": "asv.json",
}


def write_run(run: Run, form: str, path: Path) -> list[str]:
    """Write a run to a file, atomically; return one line for each row that the format cannot hold.

    Args:
        run: The run, with its samples.
        form: Name of a format, one of `SUFFIXES`.
        path: The file.

    Raises:
        UsageError: The file cannot be written, or a library or value that the format needs is missing.
    """
    module = import_module(f"linbench.store.exchange.{form.replace('-', '_')}")
    with atomic_file(path) as part:
        omitted: list[str] = module.write(run, part)
    return omitted


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file that replaces `path` once it is written.

    Raises:
        UsageError: The file cannot be written.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file in it")
    part = path.with_name(path.name + ".part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None


def label(row: Measurement) -> str:
    """Return the name of a row in its run: implementation and case, and the seed if it is not 0."""
    seed = f" seed={row.case.seed}" if row.case.seed else ""
    return f"{row.implementation} {row.case}{seed}"


def rows_without_time(run: Run) -> list[str]:
    """Return one line for every row without a time, with its status and reason."""
    return [f"{label(row)}: {missing_time_reason(row)}" for row in run.measurements if row.time is None]


def missing_time_reason(row: Measurement) -> str:
    """Return the status and the reason of a row without a time."""
    return "ok, not timed" if row.status is Status.OK else f"{row.status}: {row.reason}"
