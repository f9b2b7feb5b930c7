"""Run: one invocation, its environment and its measurements."""

from dataclasses import dataclass, field

from linbench.core.environment import Environment
from linbench.core.measurement import Measurement
from linbench.core.plan import Plan


@dataclass(frozen=True)
class Run:
    """One invocation of `linbench run`.

    Attributes:
        id: Date, time and four hex digits: 20261122-143000-1a2b.
        created_at: Start time, ISO 8601 in UTC.
        finished_at: End time, or None if it was interrupted or is still running.
        environment: The machine, its libraries and the code.
        plan: What was requested; enough to resume the run.
        measurements: Its rows, in the order in which they were measured.
        imported_from: Name of the file from which it was imported; None if it was measured here.
    """

    id: str
    created_at: str
    finished_at: str | None
    environment: Environment
    plan: Plan
    measurements: tuple[Measurement, ...] = field(default=(), repr=False)
    imported_from: str | None = field(default=None, compare=False)
