"""Export: writes a stored run to a file of one of the forms there are."""

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
    """Write a run to a file, the whole file or nothing; return what the form could not hold, a line each.

    Args:
        run: What to write, with its samples.
        form: One of `SUFFIXES`.
        path: Where to.

    Raises:
        UsageError: The file cannot be written, or a library or a fact that the form needs is not there.
    """
    module = import_module(f"linbench.store.exchange.{form.replace('-', '_')}")
    with whole(path) as part:
        left_out: list[str] = module.write(run, part)
    return left_out


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give the path of a file that takes the place of this one once it is written.

    Raises:
        UsageError: It cannot be written.
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
    """Return the name of a row among those of its run: implementation and case, the seed if it is not 0."""
    seed = f" seed={row.case.seed}" if row.case.seed else ""
    return f"{row.implementation} {row.case}{seed}"


def without_time(run: Run) -> list[str]:
    """Return a line for every row that has no time to give, with its status and reason."""
    return [f"{label(row)}: {why_no_time(row)}" for row in run.measurements if row.time is None]


def why_no_time(row: Measurement) -> str:
    """Return the status of a row without a time, and the reason."""
    return "ok, not timed" if row.status is Status.OK else f"{row.status}: {row.reason}"
