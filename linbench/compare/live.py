"""Live: two sides made ready to take turns at the jobs of a schedule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from linbench.compare.git import Repository, Trees
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
    """Return what is compared of a schedule: two implementations at each case, or each job on both sides.

    Raises:
        UsageError: Nothing is.
    """
    if pair[0].kind is not Kind.IMPLEMENTATION:
        return [Comparison(job, job) for job in schedule.jobs]
    found = []
    for group in schedule.groups:
        by_name = {job.implementation: job for job in group}
        a, b = (by_name.get(side.name) for side in pair)
        if a is not None and b is not None:
            found.append(Comparison(a, b))
    if not found:
        raise UsageError(f"no case of the grid is one of both {pair[0].given} and {pair[1].given}")
    return found


@contextmanager
def live(pair: tuple[Side, Side], schedule: Schedule, registry: Registry, folder: Path) -> Iterator[Turns]:
    """Yield the turns of two sides; what was made for them goes in the end.

    Args:
        pair: Implementations, refs or interpreters.
        schedule: Says on which device, with which plugins and within which bounds.
        registry: Where implementations are, so that their code is found.
        folder: In the repository, for refs.

    Raises:
        UsageError: A ref cannot be checked out, or nothing of the repository is a plugin.
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
        imports = trees = None
        if pair[0].kind is Kind.REF:
            repository = Repository(folder)
            imports = Imports(repository, sources(registry, plan.plugins))
            trees = stack.enter_context(Trees(repository))
        started = launches(pair, launch, imports, trees)
        clock_mhz = lambda: gpu_sm_mhz(uuids[0]) if uuids else None  # noqa: E731
        yield stack.enter_context(Turns(started, plan.device, plan.settings, clock_mhz=clock_mhz))


def sources(registry: Registry, plugins: Sequence[str]) -> list[Path]:
    """Return the files that implementations and operators come from, and those named with --plugin."""
    origins = {implementation.origin for implementation in registry.implementations()}
    return sorted({Path(name) for name in (*origins, *plugins)})
