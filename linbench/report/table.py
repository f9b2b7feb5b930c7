"""Table: the rows as a page lists them, a column of texts each, and how each is measured again."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from linbench.analysis.panel import option_text, options_text
from linbench.core.case import Case
from linbench.core.measurement import Measurement
from linbench.text import format

CASE_COLUMNS: Final = ("T", "B", "H", "K", "V", "dtype", "mode", "device", "options", "seed")


@dataclass(frozen=True)
class Column:
    """A column of a table, as texts.

    Attributes:
        heading: What stands above it.
        kind: How its cells look: name, number, value, status, reason or plain.
        texts: A cell a row.
    """

    heading: str
    kind: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """What a column of the table of rows has in a row.

    Attributes:
        heading: What stands above it.
        kind: How it looks; see `Column`.
        text: What it says of a row.
    """

    heading: str
    kind: str
    text: Callable[[Measurement], str]


@dataclass(frozen=True)
class Listing:
    """Rows as a page lists them.

    Attributes:
        columns: What is said of each row.
        search: By case, what its rows are found by beside their words, as in T=1024 mode=decode.
        row_case: Number of each row's case.
        order: The rows as they are listed.
    """

    columns: tuple[Column, ...]
    search: tuple[str, ...]
    row_case: tuple[int, ...]
    order: tuple[int, ...]


@dataclass(frozen=True)
class Commands:
    """How rows are measured again.

    Attributes:
        rerun: How each command begins.
        arguments: By case, what `linbench run` takes to measure it.
    """

    rerun: str
    arguments: tuple[str, ...]


def varying(rows: Sequence[Measurement]) -> tuple[str, ...]:
    """Return the columns of the cases that differ between rows."""
    return tuple(
        name
        for name in CASE_COLUMNS
        if len({case_text(case, name) for case in {row.case for row in rows}}) > 1
    )


def case_text(case: Case, name: str) -> str:
    """Return a column of a case as one types it."""
    return options_text(case.options) if name == "options" else str(getattr(case, name))


def arguments(case: Case) -> str:
    """Return what `linbench run` takes to measure a case."""
    shape = " ".join(f"--{axis} {getattr(case, axis)}" for axis in ("T", "B", "H", "K", "V"))
    kind = f"--dtype {case.dtype} --mode {case.mode} --device {case.device}"
    options = "".join(
        f" --option {shlex.quote(option_text(name, value))}" for name, value in sorted(case.options.items())
    )
    seed = f" --seed {case.seed}" if case.seed else ""
    return f"{shape} {kind}{options}{seed}"


def listing(
    rows: Sequence[Measurement], cases: Mapping[Case, int], differing: Sequence[str], light: Sequence[str]
) -> Listing:
    """Return rows as a page lists them.

    Args:
        rows: The rows.
        cases: Their cases, numbered.
        differing: The columns of the cases that differ between rows.
        light: The share of the speed of light of each; empty if no ceilings had been measured.
    """
    first = (NAME, *map(_case_cell, differing), STATUS, TIME, SAMPLES)
    shares = (Column("Of the speed of light [95%]", "value", tuple(light)),) if light else ()
    last = (MEMORY, ERROR, FLAGS, REASON)
    return Listing(
        columns=(*(_column(cell, rows) for cell in first), *shares, *(_column(cell, rows) for cell in last)),
        search=tuple(" ".join(f"{name}={case_text(case, name)}" for name in differing) for case in cases),
        row_case=tuple(cases[row.case] for row in rows),
        order=tuple(range(len(rows))),
    )


def _column(cell: Cell, rows: Sequence[Measurement]) -> Column:
    return Column(cell.heading, cell.kind, tuple(map(cell.text, rows)))


def _case_cell(name: str) -> Cell:
    def text(row: Measurement) -> str:
        value = getattr(row.case, name)
        return format.count(value) if isinstance(value, int) else case_text(row.case, name)

    return Cell(name, "number" if name in "BTHKV" or name == "seed" else "plain", text)


def time_text(row: Measurement) -> str:
    """Return the time of a row with its interval; empty if it was not timed."""
    time = row.time
    return format.seconds_interval(time.median_s, time.ci_low_s, time.ci_high_s) if time else ""


def _memory(row: Measurement) -> str:
    return format.size(row.memory.extra_bytes) if row.memory else ""


def _error(row: Measurement) -> str:
    if row.worst_tensor is None:
        return ""
    error = row.errors[row.worst_tensor]
    is_bad = error.nonfinite or not math.isfinite(error.rel_l2)
    value = f"{format.count(error.nonfinite)} not finite" if is_bad else format.digits(error.rel_l2)
    further = max(row.approximation.values(), default=None)
    beside = "" if further is None else f", approximation {format.digits(further)}"
    return f"{row.worst_tensor} {value} ({format.digits(error.tolerance)}){beside}"


NAME: Final = Cell("Implementation", "name", lambda row: row.implementation)
STATUS: Final = Cell("Status", "status", lambda row: str(row.status))
TIME: Final = Cell("Time [95%]", "value", time_text)
SAMPLES: Final = Cell("n", "number", lambda row: format.count(row.time.n) if row.time else "")
MEMORY: Final = Cell("Extra memory", "number", _memory)
ERROR: Final = Cell("Worst error (tolerance)", "value", _error)
FLAGS: Final = Cell("Flags", "plain", lambda row: ", ".join(row.flags))
REASON: Final = Cell("Reason", "reason", lambda row: row.reason or "")
