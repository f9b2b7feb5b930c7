"""Summary: the description of a report, for its head and for an index of reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """The description of a report.

    Attributes:
        run: The id of the run.
        title: The title of the report.
        created_at: The start of the run, ISO 8601 in UTC.
        tally: The number of rows per status.
        machine: The machine of the run.
        command: The command that repeats the run; empty if it was not started by a command.
    """

    run: str
    title: str
    created_at: str
    tally: str
    machine: str
    command: str
