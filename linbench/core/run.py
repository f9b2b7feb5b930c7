"""Run: one invocation, where it ran and what it measured."""

from dataclasses import dataclass, field

from linbench.core.environment import Environment
from linbench.core.measurement import Measurement
from linbench.core.plan import Plan


@dataclass(frozen=True)
class Run:
    """One invocation of `linbench run`.

    Attributes:
        id: Date, time and four hex digits: 20261122-143000-1a2b.
        created_at: When it began, ISO 8601 in UTC.
        finished_at: When it ended, or None if it was interrupted or still goes on.
        environment: The machine, its libraries and the code.
        plan: What was asked for; enough to resume the run.
        measurements: Its rows, in the order in which they were measured.
        imported_from: Name of the file that it was read from; None if it was measured here.
    """

    id: str
    created_at: str
    finished_at: str | None
    environment: Environment
    plan: Plan
    measurements: tuple[Measurement, ...] = field(default=(), repr=False)
    imported_from: str | None = field(default=None, compare=False)
