"""Summary: what a report says of itself, for its head and for an index of reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """What a report says of itself.

    Attributes:
        run: The id of its run.
        title: What was measured.
        created_at: When the run began, ISO 8601 in UTC.
        tally: How many rows ended how.
        machine: Where it ran.
        command: What makes the run again; empty if no command began it.
    """

    run: str
    title: str
    created_at: str
    tally: str
    machine: str
    command: str
