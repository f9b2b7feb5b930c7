"""Live: two sides prepared to take turns at the jobs of a schedule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from linbench.compare.git import Repository, Worktrees
from linbench.compare.imports import Imports
from linbench.compare.launches import launches
from linbench.compare.side import Kind, Side
from linbench.compare.turns import Comparison, Turns
from linbench.core.errors import UsageError
from linbench.core.gpu import visible_gpus
from linbench.core.registry import Registry
from linbench.execution.lock import exclusive
from linbench.execution.process import Launch
from linbench.execution.resident import safe_memory_bytes
from linbench.execution.schedule import Schedule
from linbench.measure.telemetry import gpu_sm_mhz


def comparisons(pair: tuple[Side, Side], schedule: Schedule) -> list[Comparison]:
    """Return the comparisons of a schedule: two implementations at each case, or each job on both sides.

    Raises:
        UsageError: There is none.
    """
    if pair[0].kind is not Kind.IMPLEMENTATION:
        return [Comparison(job, job) for job in schedule.jobs]
    matches = []
    for group in schedule.groups:
        by_name = {job.implementation: job for job in group}
        a, b = (by_name.get(side.name) for side in pair)
        if a is not None and b is not None:
            matches.append(Comparison(a, b))
    if not matches:
        raise UsageError(f"{pair[0].text} and {pair[1].text} have no case of the grid in common")
    return matches


@contextmanager
def live(pair: tuple[Side, Side], schedule: Schedule, registry: Registry, folder: Path) -> Iterator[Turns]:
    """Yield the turns of two sides; worktrees and workers are removed on exit.

    Args:
        pair: Implementations, refs or interpreters.
        schedule: Device, plugins and limits.
        registry: Registered implementations, whose source files are looked up.
        folder: A folder in the repository, for refs.

    Raises:
        UsageError: A ref cannot be checked out, or no plugin comes from the repository.
        EnvironmentRefused: The GPU is in use, or a worker cannot be started.
    """
    plan = schedule.plan
    variables = {}
    uuids: Sequence[str] = ()
    if plan.device == "cuda":
        uuids = [visible_gpus()[0].uuid]
        variables["CUDA_VISIBLE_DEVICES"] = uuids[0]
    workers = 1 if pair[0].kind is Kind.IMPLEMENTATION else 2
    memory = plan.settings.max_memory_bytes or safe_memory_bytes() // workers
    launch = Launch(plan.plugins, memory, variables=variables)
    with ExitStack() as stack:
        stack.enter_context(exclusive(list(uuids)))
        imports = worktrees = None
        if pair[0].kind is Kind.REF:
            repository = Repository(folder)
            imports = Imports(repository, sources(registry, plan.plugins))
            worktrees = stack.enter_context(Worktrees(repository))
        pair_launches = launches(pair, launch, imports, worktrees)
        clock_mhz = lambda: gpu_sm_mhz(uuids[0]) if uuids else None  # noqa: E731
        yield stack.enter_context(Turns(pair_launches, plan.device, plan.settings, clock_mhz=clock_mhz))


def sources(registry: Registry, plugins: Sequence[str]) -> list[Path]:
    """Return the files that register implementations, and those named with --plugin."""
    origins = {implementation.origin for implementation in registry.implementations()}
    return sorted({Path(name) for name in (*origins, *plugins)})
