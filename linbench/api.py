"""What Python callers type, and what the command line is made of: plan a run, measure it, load it."""

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
    """Return an implementation by its full name, to be called on [B, T, H, D] tensors.

    `linbench.get("linear/chunk")(q, k, v)` returns o, [B, T, H, V], whatever its own layout.

    Args:
        name: Operator and implementation, as in "linear/chunk".
        plugins: Files to load beside what is installed.

    Raises:
        UsageError: There is no such implementation; the nearest names are given.
    """
    registry.load(plugins)
    return registry.implementation(name)


def load(db: str | Path = DEFAULT_DB, *, run: str | None = None) -> pd.DataFrame:
    """Return the rows of a store as a tidy frame, one row a measurement.

    Args:
        db: Path of a SQLite file, or URL of a database.
        run: A run's id, the start of one, or "latest"; every run if not given.

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

    `linbench.run(grid="quick", impl=["linear/chunk", "softmax/flash"])`, or with axes of one's own:
    `linbench.run(T="512..8k", mode=["fwd"], op=["linear"])`.

    Args:
        grid: A shipped grid, a .toml file or a Grid; without it the axes given are the grid, and without
            axes it is "quick".
        impl: Full names of implementations.
        op: Operators of which every implementation is taken; the grid's if neither is given, and all there
            are if it names none.
        device: cpu or cuda; the GPU if there is one.
        db: Path of a SQLite file, or URL of a database.
        plugins: Files to load beside what is installed.
        settings: How each case is measured.
        on_rows: Called with the rows of each case as soon as they are stored.
        axes: B, tokens, T, H, D, K, V, dtype, mode, seed, options; they replace the grid's.

    Raises:
        UsageError: A name or an axis is not known.
        EnvironmentRefused: There is no such device here, or it is being measured by another run.
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
    """Return what a run is to measure; the arguments are those of `run`, and the words that were typed."""
    if grid is None:
        grid = Grid("axes") if axes.model_dump() else DEFAULT_GRID
    if not isinstance(grid, str | Grid):
        raise UsageError(f"grid {grid!r} is neither a name, a .toml file nor a Grid")
    shape = load_grid(grid) if isinstance(grid, str) else grid
    registry.load(plugins)
    device = device or default_device()
    if device not in DEVICES:
        raise UsageError(f"device {device!r} is not one of {', '.join(DEVICES)}")
    operators = [op] if isinstance(op, str) else op or (() if impl else shape.operators)
    chosen = select(registry, operators, [impl] if isinstance(impl, str) else impl)
    plan = Plan(
        shape.override(axes),
        device,
        tuple(implementation.name for implementation in chosen),
        tuple(str(Path(plugin).resolve()) for plugin in plugins),
        settings or Settings(processes=DEFAULT_PROCESSES[device]),
        tuple(command),
    )
    return make_schedule(registry, plan)


def resumed(
    store: Store,
    name: str,
    *,
    timeout_s: float | None = None,
    max_memory_bytes: int | None = None,
    time_limit_s: float | None = None,
) -> tuple[Run, Schedule]:
    """Return a stored run and what is left of its schedule.

    Left are the rows that are missing, the skipped ones, and the ones that timed out if there is more time.

    Args:
        store: Where the run is.
        name: As `Store.find` takes it.
        timeout_s: In place of the run's own.
        max_memory_bytes: In place of the run's own.
        time_limit_s: Of the rest of the run.

    Raises:
        UsageError: There is no such run, or it was imported.
        EnvironmentRefused: It was begun on another machine, or with other libraries or code.
    """
    run = store.run(name)
    if run.imported_from is not None:
        raise UsageError(f"run {run.id} was imported, and is not gone on with; begin a new run instead")
    registry.load(run.plan.plugins)
    schedule = make_schedule(registry, run.plan)
    other = run.environment.difference(captured(run.plan.implementations))
    if other is not None:
        raise EnvironmentRefused(f"run {run.id} was begun with {other}; begin a new run instead")
    before = run.plan.settings
    settings = replace(
        before,
        timeout_s=timeout_s or before.timeout_s,
        max_memory_bytes=max_memory_bytes or before.max_memory_bytes,
        time_limit_s=time_limit_s,
    )
    again = {Status.SKIPPED, *([Status.TIMEOUT] if settings.timeout_s > before.timeout_s else [])}
    done = [(row.implementation, row.case.id) for row in run.measurements if row.status not in again]
    return run, schedule.with_settings(settings).without(done)


def measure(
    schedule: Schedule,
    *,
    db: str,
    resume: Run | None = None,
    on_start: Callable[[Run], None] | None = None,
    on_job: Observer | None = None,
    on_rows: OnRows | None = None,
) -> Run:
    """Measure a schedule and return the run as it is stored.

    Args:
        schedule: What to measure.
        db: Where to store it.
        resume: The run to go on with; a new one if not given.
        on_start: Called with the run before its first case.
        on_job: Called with each job as it is taken up.
        on_rows: Called with the rows of each case as soon as they are stored.
    """
    plan = schedule.plan
    uuids = check_device(plan.device)
    store, ceilings = Store(db, write=True), load_ceilings(db)
    before = resume.measurements if resume else ()
    slow = [Job(row.implementation, row.operator, row.case) for row in before if row.status is Status.TIMEOUT]
    with exclusive(uuids), Runner(registry, schedule, on_job, slow) as runner:
        current = resume or store.begin(captured(plan.implementations, ceilings), plan)
        if on_start is not None:
            on_start(current)
        journal = journal_path(db, current.id)  # a run cut off may have left half a line, or one too few
        _write_lines(journal, [json.dumps(head(current)), *_json_lines(current.id, before)], mode="w")
        for rows in runner.measure():
            store.append(current.id, rows)
            _write_lines(journal, _json_lines(current.id, rows))
            if on_rows is not None:
                on_rows(rows)
        store.finish(current.id)
    return store.run(current.id)


def captured(
    implementations: Sequence[str], ceilings: Ceilings = environment.NO_CEILINGS
) -> environment.Environment:
    """Return the environment as it stands, with the code that some implementations lie in."""
    origins = {name: registry.implementation(name).origin for name in implementations}
    return environment.capture(origins, ceilings)


def measure_ceilings(device: str | None = None, *, db: str = DEFAULT_DB) -> tuple[list[Ceiling], Path]:
    """Return what a kind of device does at most, measured for about a minute, and the file that keeps it.

    Runs that are stored in the same database have it in their environment from then on.

    Args:
        device: cpu or cuda; the GPU if there is one.
        db: Where runs are stored.

    Raises:
        EnvironmentRefused: There is no such device, it is being measured by a run, or measuring failed.
        StoreError: The file cannot be written.
    """
    device = device or default_device()
    with exclusive(check_device(device)):
        ceilings = find_ceilings(device)
    return ceilings, save_ceilings(ceilings, db)


def default_device() -> str:
    """Return cuda if a GPU is visible here, else cpu."""
    return "cuda" if visible_gpus() else "cpu"


def check_device(device: str) -> list[str]:
    """Return the UUIDs of the GPUs that a run on this kind of device takes for itself.

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
    """Return where the rows of a run are appended as linbench JSON lines, beside the database."""
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
