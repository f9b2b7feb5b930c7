"""linbench run: measure implementations over a grid, store every row, write the report."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from linbench.cli import options, types
from linbench.cli.interrupt import Interrupt
from linbench.cli.progress import Printer
from linbench.cli.report import check_report_path, write_report
from linbench.cli.text import report_broken
from linbench.core.errors import LinbenchError, UsageError, unknown
from linbench.core.measurement import FAILURES
from linbench.core.run import Run
from linbench.store import DEFAULT_DB
from linbench.text import format
from linbench.text.terminal import printable

if TYPE_CHECKING:
    from linbench.execution.schedule import Job, Schedule

MANY_CASES = 10_000
EXIT_FAILED_CASES = 3
WITH_RESUME = {
    *("resume", "db", "timeout", "time_limit", "max_memory"),
    *("dry_run", "yes", "strict", "report_path", "no_report", "baseline", "form"),
}


@dataclass(frozen=True)
class Sampling:
    """How often each row is timed.

    Attributes:
        once: Run everything once, untimed.
        processes: Workers a row; None for the device's number.
        precision: Half width of a steady interval, relative.
        min_time_s: Timed seconds a row, at least.
        max_time_s: Timed seconds a row to reach the precision.
        max_samples: Most timed calls a row.
    """

    once: bool
    processes: int | None
    precision: float
    min_time_s: float
    max_time_s: float
    max_samples: int


def _sampling(
    once: bool,
    processes: int | None,
    precision: float,
    min_time: float,
    max_time: float | None,
    samples: int,
) -> Sampling:
    if max_time is not None and max_time < min_time:
        raise UsageError(
            f"--max-time {format.seconds(max_time)} is less than --min-time {format.seconds(min_time)}"
        )
    return Sampling(once, processes, precision, min_time, max_time or 2 * min_time, samples)


sampling = options.together(
    "sampling",
    _sampling,
    click.option("--once", is_flag=True, help="Run everything once, checked and untimed."),
    click.option(
        "--processes", type=click.IntRange(1, 64), metavar="N", help="Workers a row.  [default: 5; 3 on CUDA]"
    ),
    click.option(
        "--precision",
        type=types.PERCENT,
        default="1%",
        show_default=True,
        metavar="PERCENT",
        help="Half width of a steady interval.",
    ),
    click.option(
        "--min-time",
        type=types.DURATION,
        default="0.5s",
        show_default=True,
        metavar="DURATION",
        help="Timed seconds a row, at least.",
    ),
    click.option(
        "--max-time",
        type=types.DURATION,
        metavar="DURATION",
        help="Timed seconds a row to reach the precision.  [default: twice --min-time]",
    ),
    click.option(
        "--samples",
        default=2000,
        show_default=True,
        type=click.IntRange(1),
        metavar="N",
        help="Most timed calls a row.",
    ),
)


@click.command(context_settings=options.SETTINGS)
@options.selection
@options.db
@sampling
@options.bounds
@click.option(
    "--time-limit", type=types.DURATION, metavar="DURATION", help="Start no further case after this: 10m."
)
@click.option("--resume", metavar="RUN", help="Go on with a stored run: its id, or latest.")
@click.option(
    "--dry-run", is_flag=True, help="Print the cases with their estimated memory and time, and stop."
)
@click.option("--yes", is_flag=True, help=f"Do not ask before more than {MANY_CASES:,} cases.")
@click.option(
    "--strict",
    is_flag=True,
    help=f"Exit {EXIT_FAILED_CASES} if a row is wrong, oom, timeout, crashed or an error.",
)
@click.option("--report", "report_path", metavar="FILE", help="[default: reports/RUN.html]")
@click.option("--no-report", is_flag=True, help="Write no report.")
@click.option("--baseline", metavar="IMPLEMENTATION", help="What the report's speed-ups are against.")
@options.output_format("json")
def command(
    selection: options.Selection,
    sampling: Sampling,
    bounds: options.Bounds,
    db: str,
    time_limit: float | None,
    resume: str | None,
    dry_run: bool,
    yes: bool,
    strict: bool,
    report_path: str | None,
    no_report: bool,
    baseline: str | None,
    form: str,
) -> int:
    """Measure implementations over a grid, store every row, write the report.

    \b
    linbench run                                   the grid quick, on the GPU if there is one
    linbench run --grid long-seq --op linear       one operator over a shipped grid
    linbench run --T 1k..16k --impl linear/chunk,softmax/flash --mode fwd,decode
    """  # noqa: D301 - \b is click's mark for text kept as it is
    from linbench.core.registry import registry
    from linbench.store.database import hide_password

    try:
        if resume is None:
            begun, schedule = None, _planned(selection, sampling, bounds, time_limit, db)
        else:
            begun, schedule = _resumed(resume, bounds, time_limit, db)
    finally:
        report_broken(registry)
    if baseline is not None and baseline not in schedule.plan.implementations:
        raise unknown("--baseline", baseline, schedule.plan.implementations)
    if report_path and not no_report:
        check_report_path(Path(report_path))
    if dry_run:
        _print_plan(schedule, form)
        return 0
    if len(schedule.jobs) > MANY_CASES and not yes:
        _ask(len(schedule.jobs))
    printer = Printer(form, schedule)
    run = _measured(schedule, begun, db, printer)
    printer.say(f"run {run.id}: {_tally(run)}; stored in {hide_password(db)}")
    if not no_report:
        printer.say(f"report: {write_report(run, report_path, baseline, db)}")
    failed = any(row.status in FAILURES for row in run.measurements)
    return EXIT_FAILED_CASES if strict and failed else 0


def _measured(schedule: Schedule, begun: Run | None, db: str, printer: Printer) -> Run:
    """Return the run, measured and stored; say how to go on with it if it is cut off."""
    from linbench import api
    from linbench.store.database import hide_password

    def take_up(job: Job, doing: str) -> None:
        interrupt.look()
        printer.job(job, doing)

    with printer, Interrupt() as interrupt:
        try:
            return api.measure(
                schedule,
                db=db,
                resume=begun,
                on_start=printer.start,
                on_job=take_up,
                on_rows=printer.rows,
            )
        except (KeyboardInterrupt, LinbenchError):
            if printer.run is not None:
                place = hide_password(db)
                flag = "" if place == DEFAULT_DB else f" --db {shlex.quote(place)}"
                printer.say(
                    f"run {printer.run.id} in {place} is not done; go on with: "
                    f"linbench run --resume {printer.run.id}{flag}"
                )
            raise


def _resumed(name: str, bounds: options.Bounds, time_limit_s: float | None, db: str) -> tuple[Run, Schedule]:
    """Return a stored run, and what is left of its plan under the bounds that were typed."""
    from linbench import api
    from linbench.store.store import Store

    context = click.get_current_context()
    typed = {
        parameter.name: parameter.opts[0]
        for parameter in context.command.params
        if context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    }
    for parameter, flag in typed.items():
        if parameter not in WITH_RESUME:
            raise UsageError(f"--resume takes the run as it was begun; leave out {flag}")
    return api.resumed(
        Store(db),
        name,
        timeout_s=bounds.timeout_s if "timeout" in typed else None,
        max_memory_bytes=bounds.max_memory_bytes if "max_memory" in typed else None,
        time_limit_s=time_limit_s,
    )


def _planned(
    selection: options.Selection,
    sampling: Sampling,
    bounds: options.Bounds,
    time_limit_s: float | None,
    db: str,
) -> Schedule:
    """Return the schedule of what was asked for."""
    from linbench import api
    from linbench.core.plan import Settings
    from linbench.execution.schedule import DEFAULT_PROCESSES

    device = selection.device or api.default_device()
    settings = Settings(
        timer=selection.timer,
        once=sampling.once,
        processes=sampling.processes or DEFAULT_PROCESSES[device],
        precision=sampling.precision,
        min_time_s=sampling.min_time_s,
        max_time_s=sampling.max_time_s,
        max_samples=sampling.max_samples,
        timeout_s=bounds.timeout_s,
        max_memory_bytes=bounds.max_memory_bytes,
        time_limit_s=time_limit_s,
    )
    return api.plan_run(
        selection.grid,
        impl=selection.implementations,
        op=selection.operators,
        device=device,
        plugins=selection.plugins,
        settings=settings,
        axes=selection.axes,
        command=options.typed_words(db, sys.argv[1:]),
    )


def _print_plan(schedule: Schedule, form: str) -> None:
    """Print each job with the memory and time that it is thought to need."""
    from linbench.core.registry import registry
    from linbench.execution.estimate import Unsupported, estimate

    total = 0.0
    for job in schedule.jobs:
        record: dict[str, object] = {"implementation": job.implementation, "case": job.case.to_json()}
        try:
            needed, took = estimate(registry, job, schedule.plan.settings)
        except Unsupported as reason:
            record |= {"unsupported": str(reason)}
            text = f"unsupported: {reason}"
        except Exception as error:  # a stranger's unsupported_reason, flops or extra_bytes may raise anything
            record |= {"error": f"{type(error).__name__}: {error}"}
            text = f"cannot be estimated: {type(error).__name__}: {error}"
        else:
            total += took
            record |= {"estimated_bytes": needed, "estimated_s": took}
            text = f"about {format.size(needed)}, {format.seconds(took)}"
        line = printable(f"{job.implementation:<20} {job.case}  {text}")
        click.echo(json.dumps(record) if form == "json" else line)
    cases, rows = format.plural(len(schedule.groups), "case"), format.plural(len(schedule.jobs), "row")
    line = f"{cases}, {rows}, about {format.seconds(total)} in all (a rough estimate)"
    click.echo(line, err=form == "json")


def _ask(rows: int) -> None:
    if not sys.stdin.isatty():
        raise UsageError(f"{rows:,} rows are more than {MANY_CASES:,}; add --yes, or narrow the grid")
    click.confirm(f"{rows:,} rows will be measured. Go on?", abort=True, err=True)


def _tally(run: Run) -> str:
    counted = Counter(str(row.status) for row in run.measurements)
    return ", ".join(f"{number} {status}" for status, number in sorted(counted.items()))
