"""The Python API, on which the command line is built: plan a run, measure it, load its rows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linbench.core import environment
from linbench.core.case import DEVICES
from linbench.core.ceiling import Ceiling, Ceilings
from linbench.core.errors import EnvironmentRefused, StoreError, UsageError
from linbench.core.gpu import visible_gpus
from linbench.core.grid import Axes, Grid, load_grid, typed_axes
from linbench.core.implementation import Implementation
from linbench.core.measurement import Measurement, Status
from linbench.core.plan import Plan, Settings
from linbench.core.registry import registry
from linbench.core.run import Run
from linbench.execution.lock import exclusive
from linbench.execution.runner import Observer, Runner
from linbench.execution.schedule import DEFAULT_PROCESSES, Job, Schedule, make_schedule, select
from linbench.profiling.ceiling import load_ceilings, save_ceilings
from linbench.profiling.session import find_ceilings
from linbench.store import DEFAULT_DB
from linbench.store.exchange.jsonl import head, json_row
from linbench.store.store import Store
from linbench.store.table import frame

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_GRID = "quick"

OnRows = Callable[[Sequence[Measurement]], None]


def get(name: str, *, plugins: Sequence[str | Path] = ()) -> Implementation:
    """Return an implementation by its full name; it is called on [B, T, H, D] tensors.

    `linbench.get("linear/chunk")(q, k, v)` returns o, [B, T, H, V], whatever the implementation's own layout.

    Args:
        name: Operator and implementation, as in "linear/chunk".
        plugins: Plugin files to load in addition to the installed plugins.

    Raises:
        UsageError: There is no such implementation; the message names the nearest ones.
    """
    registry.load(plugins)
    return registry.implementation(name)


def load(db: str | Path = DEFAULT_DB, *, run: str | None = None) -> pd.DataFrame:
    """Return the rows of a store as a tidy frame with one row per measurement.

    Args:
        db: Path of a SQLite file, or URL of a database.
        run: Id of a run, the start of an id, or "latest"; every run if None.

    Raises:
        StoreError: The store cannot be read.
        UsageError: There is no such run.
    """
    store = Store(str(db))
    names = [run] if run is not None else [summary.id for summary in reversed(store.summaries())]
    return frame(store.run(name) for name in names)


def run(
    grid: str | Grid | None = None,
    *,
    impl: str | Sequence[str] = (),
    op: str | Sequence[str] = (),
    device: str | None = None,
    db: str | Path = DEFAULT_DB,
    plugins: Sequence[str | Path] = (),
    settings: Settings | None = None,
    on_rows: OnRows | None = None,
    **axes: Any,
) -> Run:
    """Measure implementations over a grid, store every row, and return the run.

    `linbench.run(grid="quick", impl=["linear/chunk", "softmax/flash"])`, or with your own axes:
    `linbench.run(T="512..8k", mode=["fwd"], op=["linear"])`.

    Args:
        grid: A shipped grid, a .toml file or a Grid. If None, `axes` are the grid; without axes the grid is
            "quick".
        impl: Full names of implementations.
        op: Operators all of whose implementations are measured. If neither `impl` nor `op` is set, the
            operators of the grid, or all operators if the grid names none.
        device: cpu or cuda; by default cuda if a GPU is visible.
        db: Path of a SQLite file, or URL of a database.
        plugins: Plugin files to load in addition to the installed plugins.
        settings: How each case is measured.
        on_rows: Function called with the rows of each case as soon as they are stored.
        axes: B, tokens, T, H, D, K, V, dtype, mode, seed, options; they replace the axes of the grid.

    Raises:
        UsageError: A name or an axis is not known.
        EnvironmentRefused: There is no such device on this machine, or another run is measuring on it.
        StoreError: The store cannot be written.
    """
    schedule = plan_run(
        grid, impl=impl, op=op, device=device, plugins=plugins, settings=settings, axes=typed_axes(**axes)
    )
    return measure(schedule, db=str(db), on_rows=on_rows)


def plan_run(
    grid: str | Grid | None,
    *,
    impl: str | Sequence[str] = (),
    op: str | Sequence[str] = (),
    device: str | None = None,
    plugins: Sequence[str | Path] = (),
    settings: Settings | None = None,
    axes: Axes,
    command: Sequence[str] = (),
) -> Schedule:
    """Return the schedule of a run; the arguments are those of `run`, and the command line if any."""
    if grid is None:
        grid = Grid("axes") if axes.model_dump() else DEFAULT_GRID
    if not isinstance(grid, str | Grid):
        raise UsageError(f"grid {grid!r} is not a name, a .toml file or a Grid")
    shape = load_grid(grid) if isinstance(grid, str) else grid
    registry.load(plugins)
    device = device or default_device()
    if device not in DEVICES:
        raise UsageError(f"device {device!r} is not one of {', '.join(DEVICES)}")
    operators = [op] if isinstance(op, str) else op or (() if impl else shape.operators)
    implementations = select(registry, operators, [impl] if isinstance(impl, str) else impl)
    plan = Plan(
        shape.override(axes),
        device,
        tuple(implementation.name for implementation in implementations),
        tuple(str(Path(plugin).resolve()) for plugin in plugins),
        settings or Settings(processes=DEFAULT_PROCESSES[device]),
        tuple(command),
    )
    return make_schedule(registry, plan)


def plan_resume(
    store: Store,
    name: str,
    *,
    timeout_s: float | None = None,
    max_memory_bytes: int | None = None,
    time_limit_s: float | None = None,
) -> tuple[Run, Schedule]:
    """Return a stored run and the rest of its schedule.

    The rest is the missing and the skipped rows, and the rows that timed out if the timeout is now longer.

    Args:
        store: Store that holds the run.
        name: Id of the run, the start of an id, or "latest", as in `Store.find`.
        timeout_s: Timeout that replaces the run's own.
        max_memory_bytes: Memory limit that replaces the run's own.
        time_limit_s: Time limit for the rest of the run.

    Raises:
        UsageError: There is no such run, or it was imported.
        EnvironmentRefused: The run was started on another machine, or with other libraries or code.
    """
    run = store.run(name)
    if run.imported_from is not None:
        raise UsageError(f"run {run.id} was imported and cannot be resumed; begin a new run instead")
    registry.load(run.plan.plugins)
    schedule = make_schedule(registry, run.plan)
    difference = run.environment.difference(capture_environment(run.plan.implementations))
    if difference is not None:
        raise EnvironmentRefused(f"run {run.id} was begun with {difference}; begin a new run instead")
    before = run.plan.settings
    settings = replace(
        before,
        timeout_s=timeout_s or before.timeout_s,
        max_memory_bytes=max_memory_bytes or before.max_memory_bytes,
        time_limit_s=time_limit_s,
    )
    unfinished = {Status.SKIPPED, *([Status.TIMEOUT] if settings.timeout_s > before.timeout_s else [])}
    finished = [(row.implementation, row.case.id) for row in run.measurements if row.status not in unfinished]
    return run, schedule.with_settings(settings).without(finished)


def check(schedule: Schedule, *, on_rows: OnRows) -> None:
    """Check every case of a schedule once, in workers, and store nothing.

    Args:
        schedule: The implementations and cases, with settings that have `once`.
        on_rows: Called with the rows of each case as soon as they are known.
    """
    with exclusive(check_device(schedule.plan.device)), Runner(registry, schedule, None, []) as runner:
        for rows in runner.measure():
            on_rows(rows)


def measure(
    schedule: Schedule,
    *,
    db: str,
    resume: Run | None = None,
    on_start: Callable[[Run], None] | None = None,
    on_job: Observer | None = None,
    on_rows: OnRows | None = None,
) -> Run:
    """Measure a schedule and return the stored run.

    Args:
        schedule: The jobs to measure.
        db: Path of a SQLite file, or URL of a database.
        resume: The run to resume; a new run if None.
        on_start: Function called with the run before its first case.
        on_job: Function called with a job and the name of the activity before each activity of the job.
        on_rows: Function called with the rows of each case as soon as they are stored.
    """
    plan = schedule.plan
    uuids = check_device(plan.device)
    store, ceilings = Store(db, write=True), load_ceilings(db)
    before = resume.measurements if resume else ()
    slow = [Job(row.implementation, row.operator, row.case) for row in before if row.status is Status.TIMEOUT]
    with exclusive(uuids), Runner(registry, schedule, on_job, slow) as runner:
        current = resume or store.begin(capture_environment(plan.implementations, ceilings), plan)
        if on_start is not None:
            on_start(current)
        journal = journal_path(db, current.id)  # rewritten: an interrupted run may have left it incomplete
        _write_lines(journal, [json.dumps(head(current)), *_json_lines(current.id, before)], mode="w")
        for rows in runner.measure():
            store.append(current.id, rows)
            _write_lines(journal, _json_lines(current.id, rows))
            if on_rows is not None:
                on_rows(rows)
        store.finish(current.id)
    return store.run(current.id)


def capture_environment(
    implementations: Sequence[str], ceilings: Ceilings = environment.NO_CEILINGS
) -> environment.Environment:
    """Return the current environment, with the code that contains the implementations."""
    origins = {name: registry.implementation(name).origin for name in implementations}
    return environment.capture(origins, ceilings)


def measure_ceilings(device: str | None = None, *, db: str = DEFAULT_DB) -> tuple[list[Ceiling], Path]:
    """Measure the ceilings of a device for about a minute; return them and the file that stores them.

    Later runs that are stored in the same database have them in their environment.

    Args:
        device: cpu or cuda; by default cuda if a GPU is visible.
        db: Path of a SQLite file, or URL of a database.

    Raises:
        EnvironmentRefused: There is no such device, a run is measuring on it, or the measurement failed.
        StoreError: The file cannot be written.
    """
    device = device or default_device()
    with exclusive(check_device(device)):
        ceilings = find_ceilings(device)
    return ceilings, save_ceilings(ceilings, db)


def default_device() -> str:
    """Return cuda if a GPU is visible, else cpu."""
    return "cuda" if visible_gpus() else "cpu"


def check_device(device: str) -> list[str]:
    """Return the UUIDs of the GPUs that a run on this kind of device uses exclusively.

    Raises:
        EnvironmentRefused: There is no such device.
    """
    if device == "cpu":
        return []
    visible = visible_gpus()
    if not visible:
        raise EnvironmentRefused(
            "--device cuda: no CUDA device is visible here; use --device cpu, or see `linbench doctor`"
        )
    return [visible[0].uuid]


def journal_path(db: str, run: str) -> Path:
    """Return the file next to the database to which the rows of a run are appended as linbench JSON lines."""
    folder = Path(DEFAULT_DB).parent if "://" in db else Path(db).parent
    return folder / f"{run}.jsonl"


def _json_lines(run: str, rows: Iterable[Measurement]) -> list[str]:
    return [json.dumps(json_row(row, run)) for row in rows]


def _write_lines(path: Path, lines: Sequence[str], mode: str = "a") -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode, encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from None
