"""linbench run: measure implementations over a grid, store every row, write the report."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from linbench.cli import options
from linbench.cli.interrupt import Interrupt
from linbench.cli.report import check_report_path, write_report
from linbench.cli.text import report_broken, row_line
from linbench.core.errors import LinbenchError, UsageError, unknown
from linbench.core.measurement import FAILURES, Measurement
from linbench.core.quantity import parse_bytes, parse_duration, parse_percent
from linbench.core.run import Run
from linbench.store import DEFAULT_DB
from linbench.text import format
from linbench.text.terminal import printable

MANY_CASES = 10_000
EXIT_FAILED_CASES = 3
WITH_RESUME = {
    *("resume", "db", "timeout", "time_budget", "max_memory"),
    *("dry_run", "yes", "strict", "report_path", "no_report", "baseline", "form"),
}


@click.command(context_settings=options.SETTINGS)
@options.cases
@options.implementations
@options.machine
@options.db
@click.option("--once", is_flag=True, help="Run everything once, checked and untimed.")
@click.option("--processes", type=click.IntRange(1, 64), help="Workers a row.  [default: 5; 3 on CUDA]")
@click.option(
    "--precision", default="1%", show_default=True, metavar="PERCENT", help="Half width of a steady interval."
)
@click.option(
    "--min-time", default="0.5s", show_default=True, metavar="DURATION", help="Timed seconds a row, at least."
)
@click.option(
    "--max-time",
    metavar="DURATION",
    help="Timed seconds a row to reach the precision.  [default: twice --min-time]",
)
@click.option(
    "--samples", default=2000, show_default=True, type=click.IntRange(1), help="Most timed calls a row."
)
@options.bounds
@click.option("--time-budget", metavar="DURATION", help="Start no further case after this: 10m.")
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
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Measure implementations over a grid, store every row, write the report.

    \b
    linbench run                                   the grid quick, on the GPU if there is one
    linbench run --grid long-seq --op linear       one operator over a shipped grid
    linbench run --T 1k..16k --impl linear/chunk,softmax/flash --mode fwd,decode
    """  # noqa: D301 - \b is click's mark for text kept as it is
    from linbench import api
    from linbench.core.registry import registry
    from linbench.store.database import shown

    typed = [name for name in given if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    resume = None
    try:
        if given["resume"] is None:
            plan = _planned(given)
        else:
            plan, resume = _resumed(given, typed)
    finally:
        report_broken(registry)
    if given["baseline"] is not None and given["baseline"] not in plan.plan.implementations:
        raise unknown("--baseline", given["baseline"], plan.plan.implementations)
    if given["report_path"] and not given["no_report"]:
        check_report_path(Path(given["report_path"]))
    if given["dry_run"]:
        _print_plan(plan, given["form"])
        return 0
    if len(plan.jobs) > MANY_CASES and not given["yes"]:
        _ask(len(plan.jobs))
    printer = Printer(given["form"], plan)

    def take_up(job: Any, doing: str) -> None:
        interrupt.look()
        printer.job(job, doing)

    with printer, Interrupt() as interrupt:
        try:
            run = api.measure(
                plan,
                db=given["db"],
                resume=resume,
                on_start=printer.start,
                on_job=take_up,
                on_rows=printer.rows,
            )
        except (KeyboardInterrupt, LinbenchError):
            if printer.run is not None:
                place = shown(given["db"])
                db = "" if place == DEFAULT_DB else f" --db {shlex.quote(place)}"
                printer.say(
                    f"run {printer.run.id} in {place} is not done; go on with: "
                    f"linbench run --resume {printer.run.id}{db}"
                )
            raise
    printer.say(f"run {run.id}: {_tally(run)}; stored in {shown(given['db'])}")
    if not given["no_report"]:
        path = write_report(run, given["report_path"], given["baseline"], given["db"])
        printer.say(f"report: {path}")
    failed = any(row.status in FAILURES for row in run.measurements)
    return EXIT_FAILED_CASES if given["strict"] and failed else 0


def _resumed(given: Mapping[str, Any], typed: Sequence[str]) -> tuple[Any, Run]:
    """Return what is left of a stored run's plan, under the bounds that were typed, and the run."""
    from linbench import api
    from linbench.store.store import Store

    for name in typed:
        if name not in WITH_RESUME:
            flag = {"case_options": "option"}.get(name, name).replace("_", "-")
            raise UsageError(f"--resume takes the run as it was begun; leave out --{flag}")
    bounds: dict[str, Any] = {"time_budget_s": _duration(given, "time_budget")}
    if "timeout" in typed:
        bounds["timeout_s"] = _duration(given, "timeout")
    if "max_memory" in typed:
        bounds["max_memory_bytes"] = parse_bytes(given["max_memory"], "--max-memory")
    run, left = api.resumed(Store(given["db"]), given["resume"], **bounds)
    return left, run


def _planned(given: Mapping[str, Any]) -> Any:
    """Return the plan that the flags ask for."""
    from linbench import api
    from linbench.core.plan import Settings
    from linbench.execution.schedule import DEFAULT_PROCESSES

    device = given["device"] or api.default_device()
    min_time_s = parse_duration(given["min_time"], "--min-time")
    max_time_s = _duration(given, "max_time") or 2 * min_time_s
    if max_time_s < min_time_s:
        raise UsageError(f"--max-time {given['max_time']} is less than --min-time {given['min_time']}")
    settings = Settings(
        timer=given["timer"],
        once=given["once"],
        processes=given["processes"] or DEFAULT_PROCESSES.get(device, 1),
        precision=parse_percent(given["precision"], "--precision"),
        min_time_s=min_time_s,
        max_time_s=max_time_s,
        max_samples=given["samples"],
        timeout_s=parse_duration(given["timeout"], "--timeout"),
        max_memory_bytes=options.max_memory_bytes(given),
        time_budget_s=_duration(given, "time_budget"),
    )
    return api.plan_run(
        given["grid"],
        impl=options.words(given["impl"], "--impl"),
        op=options.words(given["op"], "--op"),
        device=device,
        plugins=given["plugin"],
        settings=settings,
        axes=options.axes(given),
        command=options.typed_words(given["db"], sys.argv[1:]),
    )


def _duration(given: Mapping[str, Any], name: str) -> float | None:
    return parse_duration(given[name], f"--{name.replace('_', '-')}") if given[name] else None


def _print_plan(plan: Any, form: str) -> None:
    """Print each job with the memory and time that it is thought to need."""
    from linbench.core.registry import registry
    from linbench.execution.estimate import Unsupported, estimate

    total = 0.0
    for job in plan.jobs:
        record: dict[str, Any] = {"implementation": job.implementation, "case": job.case.to_json()}
        try:
            needed, took = estimate(registry, job, plan.plan.settings)
        except Unsupported as reason:
            record |= {"unsupported": str(reason)}
            text = f"unsupported: {reason}"
        except Exception as error:  # a stranger's why_not, flops or extra_bytes may raise anything
            record |= {"error": f"{type(error).__name__}: {error}"}
            text = f"cannot be estimated: {type(error).__name__}: {error}"
        else:
            total += took
            record |= {"estimated_bytes": needed, "estimated_s": took}
            text = f"about {format.size(needed)}, {format.seconds(took)}"
        line = printable(f"{job.implementation:<20} {job.case}  {text}")
        click.echo(json.dumps(record) if form == "json" else line)
    cases = len(plan.groups)
    click.echo(
        f"{cases} cases, {len(plan.jobs)} rows, about {format.seconds(total)} in all (a rough estimate)",
        err=form == "json",
    )


def _ask(rows: int) -> None:
    if not sys.stdin.isatty():
        raise UsageError(f"{rows:,} rows are more than {MANY_CASES:,}; add --yes, or narrow the grid")
    click.confirm(f"{rows:,} rows will be measured. Go on?", abort=True, err=True)


def _tally(run: Run) -> str:
    counted = Counter(str(row.status) for row in run.measurements)
    return ", ".join(f"{number} {status}" for status, number in sorted(counted.items()))


class Printer:
    """Prints a run as it goes: a live bar on a terminal, plain lines elsewhere, JSON on stdout if asked."""

    def __init__(self, form: str, plan: Any) -> None:
        self.run: Run | None = None
        self._json = form == "json"
        self._total = len(plan.jobs)
        self._done = 0
        self._names = max((len(job.implementation) for job in plan.jobs), default=0)
        human = sys.stderr if self._json else sys.stdout
        self._bar = _live_bar(human, self._total) if human is not None and human.isatty() else None

    def __enter__(self) -> Printer:
        self._context: AbstractContextManager[Any] = self._bar or nullcontext()
        self._context.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)

    def say(self, line: str) -> None:
        """Print a line for people."""
        if self._bar is not None and self._bar.live.is_started:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(line, err=self._json)

    def start(self, run: Run) -> None:
        """Say that a run has begun."""
        self.run = run
        self.say(f"run {run.id}: {self._total} rows")

    def job(self, job: Any, doing: str) -> None:
        """Show what is being measured."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], job=printable(f"{doing} {job.implementation} {job.case}"))

    def rows(self, rows: Sequence[Measurement]) -> None:
        """Print the rows of a case."""
        self._done += len(rows)
        for row in rows:
            if self._json and self.run is not None:
                from linbench.store.exchange.jsonl import json_row

                click.echo(json.dumps(json_row(row, self.run.id)))
            self.say(row_line(row, self._names))
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done)


def _live_bar(stream: Any, total: int) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[job]}", markup=False),
        console=Console(file=stream),
        transient=True,
    )
    bar.add_task("run", total=total, job="")
    return bar
