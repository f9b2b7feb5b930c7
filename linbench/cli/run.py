"""linbench run: measure implementations over a grid, store every row and write the report."""

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
    """How each row is sampled.

    Attributes:
        once: Whether to check each row once and time none.
        processes: Worker processes per row; None for the default of the device.
        precision: Relative half width of the 95% interval at which a row is precise enough.
        min_time_s: Least timed seconds per row.
        max_time_s: Most timed seconds per row.
        max_samples: Most timed calls per row.
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
            f"--max-time {format.seconds(max_time)} is less than --min-time {format.seconds(min_time)}; "
            "raise --max-time or lower --min-time"
        )
    return Sampling(once, processes, precision, min_time, max_time or 2 * min_time, samples)


sampling = options.combine_options(
    "sampling",
    _sampling,
    click.option("--once", is_flag=True, help="Check each row once and time none."),
    click.option(
        "--processes",
        type=click.IntRange(1, 64),
        metavar="N",
        help="Worker processes per row.  [default: 5; 3 on CUDA]",
    ),
    click.option(
        "--precision",
        type=types.PERCENT,
        default="1%",
        show_default=True,
        metavar="PERCENT",
        help="Relative half width of the 95% interval at which a row is precise enough.",
    ),
    click.option(
        "--min-time",
        type=types.DURATION,
        default="0.5s",
        show_default=True,
        metavar="DURATION",
        help="Least timed seconds per row.",
    ),
    click.option(
        "--max-time",
        type=types.DURATION,
        metavar="DURATION",
        help="Most timed seconds per row, to reach the precision.  [default: twice --min-time]",
    ),
    click.option(
        "--samples",
        default=2000,
        show_default=True,
        type=click.IntRange(1),
        metavar="N",
        help="Most timed calls per row.",
    ),
)


@click.command(context_settings=options.SETTINGS)
@options.selection
@options.db
@sampling
@options.limits
@click.option(
    "--time-limit",
    type=types.DURATION,
    metavar="DURATION",
    help="Start no further case after this time, as in 10m.",
)
@click.option("--resume", metavar="RUN", help="Resume a stored run: its id, the start of its id, or latest.")
@click.option(
    "--dry-run", is_flag=True, help="Print the rows with their estimated memory and time; measure nothing."
)
@click.option("--yes", is_flag=True, help=f"Measure more than {MANY_CASES:,} rows without asking.")
@click.option(
    "--strict",
    is_flag=True,
    help=f"Exit with code {EXIT_FAILED_CASES} if a row is wrong, oom, timeout, crashed or error.",
)
@click.option(
    "--report",
    "report_path",
    metavar="FILE",
    help="Write the report to this file.  [default: reports/RUN.html]",
)
@click.option("--no-report", is_flag=True, help="Write no report.")
@click.option(
    "--baseline",
    metavar="IMPLEMENTATION",
    help="The implementation over which the report gives speed-ups.",
)
@options.output_format("json")
def command(
    selection: options.Selection,
    sampling: Sampling,
    limits: options.Limits,
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
    """Measure implementations over a grid, store every row and write the report.

    \b
    linbench run                                   the grid quick, on the GPU if there is one
    linbench run --grid long-seq --op linear       one operator over a shipped grid
    linbench run --T 1k..16k --impl linear/chunk,softmax/flash --mode fwd,decode
    """  # noqa: D301 - click does not wrap the paragraph after \b
    from linbench.core.registry import registry
    from linbench.store.database import hide_password

    try:
        if resume is None:
            previous, schedule = None, _plan(selection, sampling, limits, time_limit, db)
        else:
            previous, schedule = _plan_resume(resume, limits, time_limit, db)
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
        _confirm(len(schedule.jobs))
    printer = Printer(form, schedule)
    run = _measure(schedule, previous, db, printer)
    printer.say(f"run {run.id}: {_count_statuses(run)}; stored in {hide_password(db)}")
    if not no_report:
        printer.say(f"report: {write_report(run, report_path, baseline, db)}")
    failed = any(row.status in FAILURES for row in run.measurements)
    return EXIT_FAILED_CASES if strict and failed else 0


def _measure(schedule: Schedule, previous: Run | None, db: str, printer: Printer) -> Run:
    """Measure and store a run, and return it; if it is interrupted, print the command that resumes it."""
    from linbench import api
    from linbench.store.database import hide_password

    def show_job(job: Job, activity: str) -> None:
        interrupt.check()
        printer.job(job, activity)

    with printer, Interrupt() as interrupt:
        try:
            return api.measure(
                schedule,
                db=db,
                resume=previous,
                on_start=printer.start,
                on_job=show_job,
                on_rows=printer.rows,
            )
        except (KeyboardInterrupt, LinbenchError):
            if printer.run is not None:
                place = hide_password(db)
                flag = "" if place == DEFAULT_DB else f" --db {shlex.quote(place)}"
                printer.say(
                    f"run {printer.run.id} in {place} is not finished; resume it with: "
                    f"linbench run --resume {printer.run.id}{flag}"
                )
            raise


def _plan_resume(
    name: str, limits: options.Limits, time_limit_s: float | None, db: str
) -> tuple[Run, Schedule]:
    """Return a stored run and the rest of its schedule, under the limits from the command line."""
    from linbench import api
    from linbench.store.store import Store

    context = click.get_current_context()
    flags = {
        parameter.name: parameter.opts[0]
        for parameter in context.command.params
        if context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    }
    for parameter, flag in flags.items():
        if parameter not in WITH_RESUME:
            raise UsageError(f"--resume uses the options that the run was started with; leave out {flag}")
    return api.plan_resume(
        Store(db),
        name,
        timeout_s=limits.timeout_s if "timeout" in flags else None,
        max_memory_bytes=limits.max_memory_bytes if "max_memory" in flags else None,
        time_limit_s=time_limit_s,
    )


def _plan(
    selection: options.Selection,
    sampling: Sampling,
    limits: options.Limits,
    time_limit_s: float | None,
    db: str,
) -> Schedule:
    """Return the schedule of a new run."""
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
        timeout_s=limits.timeout_s,
        max_memory_bytes=limits.max_memory_bytes,
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
        command=options.command_line(db, sys.argv[1:]),
    )


def _print_plan(schedule: Schedule, form: str) -> None:
    """Print each job with its estimated memory and time."""
    from linbench.core.registry import registry
    from linbench.execution.estimate import Unsupported, estimate

    total = 0.0
    for job in schedule.jobs:
        record: dict[str, object] = {"implementation": job.implementation, "case": job.case.to_json()}
        try:
            memory_bytes, time_s = estimate(registry, job, schedule.plan.settings)
        except Unsupported as reason:
            record |= {"unsupported": str(reason)}
            text = f"unsupported: {reason}"
        except Exception as error:  # unsupported_reason, flops or extra_bytes of a plugin may raise anything
            record |= {"error": f"{type(error).__name__}: {error}"}
            text = f"cannot be estimated: {type(error).__name__}: {error}"
        else:
            total += time_s
            record |= {"estimated_bytes": memory_bytes, "estimated_s": time_s}
            text = f"about {format.size(memory_bytes)}, {format.seconds(time_s)}"
        line = printable(f"{job.implementation:<20} {job.case}  {text}")
        click.echo(json.dumps(record) if form == "json" else line)
    cases, rows = format.plural(len(schedule.groups), "case"), format.plural(len(schedule.jobs), "row")
    line = f"{cases}, {rows}, about {format.seconds(total)} in total (a rough estimate)"
    click.echo(line, err=form == "json")


def _confirm(rows: int) -> None:
    if not sys.stdin.isatty():
        raise UsageError(f"{rows:,} rows are more than {MANY_CASES:,}; add --yes, or narrow the grid")
    click.confirm(f"This run measures {rows:,} rows. Continue?", abort=True, err=True)


def _count_statuses(run: Run) -> str:
    counts = Counter(str(row.status) for row in run.measurements)
    return ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
