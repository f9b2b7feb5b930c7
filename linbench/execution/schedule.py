"""Schedule: which implementations are measured at which cases, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from linbench.core.case import Case
from linbench.core.errors import UsageError
from linbench.core.implementation import Implementation
from linbench.core.operator import check_options
from linbench.core.plan import Plan, Settings
from linbench.core.registry import Registry
from linbench.core.timer import timer_name

DEFAULT_PROCESSES = {"cpu": 5, "cuda": 3}


@dataclass(frozen=True)
class Job:
    """One implementation at one case: what becomes one row."""

    implementation: str
    operator: str
    case: Case

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from every other job of a plan."""
        return self.implementation, self.case.id


@dataclass(frozen=True)
class Schedule:
    """The jobs of a plan, in the order in which they are measured.

    Attributes:
        plan: What was asked for.
        groups: Jobs at one case of the grid, across operators; they are measured together, in turns.
    """

    plan: Plan
    groups: tuple[tuple[Job, ...], ...] = field(repr=False)

    @property
    def jobs(self) -> list[Job]:
        """Every job, in order."""
        return [job for group in self.groups for job in group]

    def without(self, done: Iterable[tuple[str, str]]) -> Schedule:
        """Return the schedule less the jobs whose keys are given."""
        gone = set(done)
        groups = (tuple(job for job in group if job.key not in gone) for group in self.groups)
        return replace(self, groups=tuple(group for group in groups if group))

    def under(self, settings: Settings) -> Schedule:
        """Return the schedule with other settings."""
        return replace(self, plan=replace(self.plan, settings=settings))


def make_schedule(registry: Registry, plan: Plan) -> Schedule:
    """Return the schedule of a plan; its timer is the device's default if it names none.

    Raises:
        UsageError: An implementation is not known, an option is not an operator's, the timer is not one of
            the device's, or nothing is left to measure.
    """
    plan = replace(plan, settings=replace(plan.settings, timer=timer_name(plan.settings.timer, plan.device)))
    chosen = [registry.implementation(name) for name in plan.implementations]
    operators = {name: registry.operator(name) for name in sorted({one.operator for one in chosen})}
    check_options(registry.operators(), list(plan.grid.on(plan.device).options or {}))
    seen: set[tuple[str, str]] = set()
    groups = []
    for case in plan.grid.cases(plan.device):
        group = []
        for implementation in chosen:
            operator = operators[implementation.operator]
            job = Job(implementation.name, implementation.operator, operator.complete(case))
            if job.key not in seen:
                seen.add(job.key)
                group.append(job)
        if group:
            groups.append(tuple(group))
    if not groups:
        raise UsageError(
            "nothing to measure: no implementation was selected; see `linbench list implementations`"
        )
    return Schedule(plan, tuple(groups))


def select(
    registry: Registry, operators: Sequence[str], implementations: Sequence[str]
) -> list[Implementation]:
    """Return the implementations that names select, by name; all of them if no name is given.

    Args:
        registry: Where names are looked up.
        operators: Take every implementation of these.
        implementations: Take these as well.

    Raises:
        UsageError: A name is not known.
    """
    if not operators and not implementations:
        return registry.implementations()
    wanted = {registry.implementation(name).name for name in implementations}
    of = {registry.operator(name).name for name in operators}
    return [found for found in registry.implementations() if found.name in wanted or found.operator in of]
