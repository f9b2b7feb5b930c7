"""Table: the table of rows of a page, as columns of texts, and the command that reruns each row."""

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
        heading: The heading.
        kind: The look of its cells: name, number, value, status, reason or plain.
        texts: The text of each row.
    """

    heading: str
    kind: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class ColumnDefinition:
    """The definition of a column of the table of rows.

    Attributes:
        heading: The heading.
        kind: The look of its cells; see `Column`.
        text: The function that returns the text of a row.
    """

    heading: str
    kind: str
    text: Callable[[Measurement], str]


@dataclass(frozen=True)
class Listing:
    """The table of rows of a page.

    Attributes:
        columns: The columns.
        search: The additional search text of each case, such as T=1024 mode=decode.
        row_case: The number of each row's case.
        order: The numbers of the rows, in the order of the table.
    """

    columns: tuple[Column, ...]
    search: tuple[str, ...]
    row_case: tuple[int, ...]
    order: tuple[int, ...]


@dataclass(frozen=True)
class Commands:
    """The commands that rerun rows.

    Attributes:
        rerun: The beginning of each command.
        arguments: The arguments of `linbench run` for each case.
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
    """Return a column of a case in command-line form."""
    return options_text(case.options) if name == "options" else str(getattr(case, name))


def arguments(case: Case) -> str:
    """Return the arguments of `linbench run` that measure a case."""
    shape = " ".join(f"--{axis} {getattr(case, axis)}" for axis in ("T", "B", "H", "K", "V"))
    kind = f"--dtype {case.dtype} --mode {case.mode} --device {case.device}"
    options = "".join(
        f" --option {shlex.quote(option_text(name, value))}" for name, value in sorted(case.options.items())
    )
    seed = f" --seed {case.seed}" if case.seed else ""
    return f"{shape} {kind}{options}{seed}"


def listing(
    rows: Sequence[Measurement], cases: Mapping[Case, int], differing: Sequence[str], shares: Sequence[str]
) -> Listing:
    """Return the table of rows.

    Args:
        rows: The rows.
        cases: The number of each case.
        differing: The columns of the cases that differ between rows.
        shares: The share of the speed of light of each row; empty without measured ceilings.
    """
    first = (NAME, *map(_case_column, differing), STATUS, TIME, SAMPLES)
    share_columns = (Column("Share of speed of light [95% CI]", "value", tuple(shares)),) if shares else ()
    last = (MEMORY, ERROR, FLAGS, REASON)
    return Listing(
        columns=(
            *(_column(definition, rows) for definition in first),
            *share_columns,
            *(_column(definition, rows) for definition in last),
        ),
        search=tuple(" ".join(f"{name}={case_text(case, name)}" for name in differing) for case in cases),
        row_case=tuple(cases[row.case] for row in rows),
        order=tuple(range(len(rows))),
    )


def _column(definition: ColumnDefinition, rows: Sequence[Measurement]) -> Column:
    return Column(definition.heading, definition.kind, tuple(map(definition.text, rows)))


def _case_column(name: str) -> ColumnDefinition:
    def text(row: Measurement) -> str:
        value = getattr(row.case, name)
        return format.count(value) if isinstance(value, int) else case_text(row.case, name)

    return ColumnDefinition(name, "number" if name in "BTHKV" or name == "seed" else "plain", text)


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
    value = f"{format.count(error.nonfinite)} non-finite" if is_bad else format.digits(error.rel_l2)
    distance = max(row.approximation.values(), default=None)
    approximation = "" if distance is None else f", approximation {format.digits(distance)}"
    return f"{row.worst_tensor} {value} ({format.digits(error.tolerance)}){approximation}"


NAME: Final = ColumnDefinition("Implementation", "name", lambda row: row.implementation)
STATUS: Final = ColumnDefinition("Status", "status", lambda row: str(row.status))
TIME: Final = ColumnDefinition("Time [95% CI]", "value", time_text)
SAMPLES: Final = ColumnDefinition(
    "Samples", "number", lambda row: format.count(row.time.n) if row.time else ""
)
MEMORY: Final = ColumnDefinition("Memory above inputs", "number", _memory)
ERROR: Final = ColumnDefinition("Worst error (tolerance)", "value", _error)
FLAGS: Final = ColumnDefinition("Flags", "plain", lambda row: ", ".join(row.flags))
REASON: Final = ColumnDefinition("Reason", "reason", lambda row: row.reason or "")
