"""Plan: which implementations are measured at which cases, by what protocol."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from linbench.core.case import Case
from linbench.core.errors import UsageError
from linbench.core.grid import Grid
from linbench.core.implementation import Implementation
from linbench.core.operator import check_options
from linbench.core.registry import Registry
from linbench.core.timer import timer_name

DEFAULT_PROCESSES = {"cpu": 5, "cuda": 3}


@dataclass(frozen=True)
class Protocol:
    """How each case is measured.

    Attributes:
        timer: Name of the timer, one of `linbench.core.timer.TIMERS`; None for the device's default, by which
            a plan replaces it.
        once: Run everything once, checked and untimed.
        processes: Workers that each take samples of an implementation at a case.
        precision: Half width of the interval, relative to the median, at which no further round is taken in
            a process and no further process is asked (three at least are), and beyond which a row is
            flagged unstable.
        min_time_s: Timed seconds to spend on an implementation at a case at least, over all its processes.
        max_time_s: Timed seconds after which it is given up to reach the precision, over all its processes.
        max_samples: Most timed calls of an implementation at a case.
        timeout_s: Seconds in one process after which an implementation at a case is given up.
        max_memory_bytes: Most resident memory of a worker; None for a safe share of what is free.
        time_budget_s: Seconds after which no further case is started; None for no such bound.
    """

    timer: str | None = None
    once: bool = False
    processes: int = 5
    precision: float = 0.01
    min_time_s: float = 0.5
    max_time_s: float = 1.0
    max_samples: int = 2000
    timeout_s: float = 120.0
    max_memory_bytes: int | None = None
    time_budget_s: float | None = None


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
class Plan:
    """Everything that a run is to measure.

    Attributes:
        grid: The axes.
        device: cpu or cuda.
        implementations: Full names.
        plugins: Files that were named with --plugin, absolute.
        protocol: How each case is measured.
        groups: Jobs at one case of the grid, across operators; they are measured together, in turns.
    """

    grid: Grid
    device: str
    implementations: tuple[str, ...]
    plugins: tuple[str, ...]
    protocol: Protocol
    groups: tuple[tuple[Job, ...], ...] = field(repr=False)

    @property
    def jobs(self) -> list[Job]:
        """Every job, in order."""
        return [job for group in self.groups for job in group]

    def without(self, done: Iterable[tuple[str, str]]) -> "Plan":
        """Return the plan less the jobs whose keys are given."""
        gone = set(done)
        groups = (tuple(job for job in group if job.key not in gone) for group in self.groups)
        return replace(self, groups=tuple(group for group in groups if group))

    def under(self, **bounds: Any) -> "Plan":
        """Return the plan with some of its protocol replaced."""
        return replace(self, protocol=replace(self.protocol, **bounds))

    def to_json(self) -> dict[str, Any]:
        """Return all that `make_plan` needs to make this plan again."""
        return {
            "grid": self.grid.to_json(),
            "device": self.device,
            "implementations": list(self.implementations),
            "plugins": list(self.plugins),
            "protocol": asdict(self.protocol),
        }


def make_plan(
    registry: Registry,
    grid: Grid,
    device: str,
    *,
    operators: Sequence[str] = (),
    implementations: Sequence[str] = (),
    plugins: Sequence[str] = (),
    protocol: Protocol,
) -> Plan:
    """Return the plan for a grid on a kind of device.

    Args:
        registry: Where names are looked up.
        grid: The axes.
        device: cpu or cuda.
        operators: Take every implementation of these; all there are if neither these nor implementations
            are given.
        implementations: Take these as well.
        plugins: Files that the worker must load too.
        protocol: How each case is measured.

    Raises:
        UsageError: A name is not known, an option is not an operator's, the timer is not one of the device's,
            or nothing is left to measure.
    """
    protocol = replace(protocol, timer=timer_name(protocol.timer, device))
    chosen = select(registry, operators, implementations)
    names = sorted({found.operator for found in chosen})
    found_operators = {name: registry.operator(name) for name in names}
    check_options(registry.operators(), list(grid.on(device).options or {}))
    seen: set[tuple[str, str]] = set()
    groups = []
    for case in grid.cases(device):
        group = []
        for implementation in chosen:
            job = Job(
                implementation.name,
                implementation.operator,
                found_operators[implementation.operator].complete(case),
            )
            if job.key not in seen:
                seen.add(job.key)
                group.append(job)
        if group:
            groups.append(tuple(group))
    if not groups:
        raise UsageError(
            "nothing to measure: no implementation was selected; see `linbench list implementations`"
        )
    return Plan(grid, device, tuple(found.name for found in chosen), tuple(plugins), protocol, tuple(groups))


def plan_from_json(registry: Registry, data: Mapping[str, Any]) -> Plan:
    """Return the plan that `Plan.to_json` wrote.

    Raises:
        UsageError: An implementation of it is not there any more.
    """
    return make_plan(
        registry,
        Grid.from_json(data["grid"]),
        data["device"],
        implementations=data["implementations"],
        plugins=data["plugins"],
        protocol=Protocol(**data["protocol"]),
    )


def select(
    registry: Registry, operators: Sequence[str], implementations: Sequence[str]
) -> list[Implementation]:
    """Return the implementations that names select, by name; all of them if no name is given.

    Raises:
        UsageError: A name is not known.
    """
    if not operators and not implementations:
        return registry.implementations()
    wanted = {registry.implementation(name).name for name in implementations}
    of = {registry.operator(name).name for name in operators}
    return [found for found in registry.implementations() if found.name in wanted or found.operator in of]
