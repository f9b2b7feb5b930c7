"""Run: one invocation, where it ran and what it measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from linbench.core.measurement import Measurement


@dataclass(frozen=True)
class Run:
    """One invocation of `linbench run`.

    Attributes:
        id: Date, time and four hex digits: 20261122-143000-1a2b.
        created_at: When it began, ISO 8601 in UTC.
        finished_at: When it ended, or None if it was interrupted or still goes on.
        environment: The machine, as `linbench.core.environment.capture` wrote it.
        plan: What was asked for: grid, axes, implementations and protocol; enough to resume the run.
        measurements: Its rows, in the order in which they were measured.
        imported_from: Name of the file that it was read from; None if it was measured here.
    """

    id: str
    created_at: str
    finished_at: str | None
    environment: Mapping[str, Any]
    plan: Mapping[str, Any]
    measurements: tuple[Measurement, ...] = field(default=(), repr=False)
    imported_from: str | None = field(default=None, compare=False)
