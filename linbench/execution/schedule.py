"""Schedule: the implementations and cases to measure, in order."""

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
    """One implementation at one case; it becomes one row."""

    implementation: str
    operator: str
    case: Case

    @property
    def key(self) -> tuple[str, str]:
        """The key that is unique among the jobs of a plan."""
        return self.implementation, self.case.id


@dataclass(frozen=True)
class Schedule:
    """The jobs of a plan, in the order of measurement.

    Attributes:
        plan: The plan.
        groups: The jobs of each case of the grid, across operators; a group is measured together, in turns.
    """

    plan: Plan
    groups: tuple[tuple[Job, ...], ...] = field(repr=False)

    @property
    def jobs(self) -> list[Job]:
        """Every job, in order."""
        return [job for group in self.groups for job in group]

    def without(self, keys: Iterable[tuple[str, str]]) -> Schedule:
        """Return the schedule without the jobs that have these keys."""
        excluded = set(keys)
        groups = (tuple(job for job in group if job.key not in excluded) for group in self.groups)
        return replace(self, groups=tuple(group for group in groups if group))

    def with_settings(self, settings: Settings) -> Schedule:
        """Return the schedule with other settings."""
        return replace(self, plan=replace(self.plan, settings=settings))


def make_schedule(registry: Registry, plan: Plan) -> Schedule:
    """Return the schedule of a plan; without a timer in the plan, its timer is the device's default.

    Raises:
        UsageError: An implementation is unknown, no operator has an option, the device does not support the
            timer, or there is nothing to measure.
    """
    plan = replace(plan, settings=replace(plan.settings, timer=timer_name(plan.settings.timer, plan.device)))
    implementations = [registry.implementation(name) for name in plan.implementations]
    names = sorted({implementation.operator for implementation in implementations})
    operators = {name: registry.operator(name) for name in names}
    check_options(registry.operators(), list(plan.grid.on(plan.device).options or {}))
    keys: set[tuple[str, str]] = set()
    groups = []
    for case in plan.grid.cases(plan.device):
        group = []
        for implementation in implementations:
            operator = operators[implementation.operator]
            job = Job(implementation.name, implementation.operator, operator.complete(case))
            if job.key not in keys:
                keys.add(job.key)
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
    """Return the selected implementations, sorted by name; all of them without any selection.

    Args:
        registry: Registry of the operators and implementations.
        operators: Names of operators, each of which selects all its implementations.
        implementations: Names of further implementations.

    Raises:
        UsageError: A name is unknown.
    """
    if not operators and not implementations:
        return registry.implementations()
    names = {registry.implementation(name).name for name in implementations}
    operator_names = {registry.operator(name).name for name in operators}
    return [
        implementation
        for implementation in registry.implementations()
        if implementation.name in names or implementation.operator in operator_names
    ]
