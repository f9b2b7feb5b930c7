"""linbench run: measure implementations over a grid, store every row, write the report."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click

from linbench.cli import options
from linbench.cli.text import printable, row_line
from linbench.core.errors import LinbenchError, UsageError, unknown
from linbench.core.measurement import FAILURES, Measurement
from linbench.core.quantity import parse_bytes, parse_duration, parse_percent
from linbench.core.run import Run
from linbench.report import format

MANY_CASES = 10_000
EXIT_FAILED_CASES = 3


@click.command(context_settings=options.SETTINGS)
@click.option(
    "--grid",
    metavar="NAME|FILE",
    help="A shipped grid (linbench list grids) or a .toml file.  [default: quick]",
)
@click.option("--T", "T", metavar="LIST", help="Sequence lengths: 512,1k..64k (a range doubles; k is 1024).")
@click.option("--B", "B", metavar="LIST", help="Batch sizes.")
@click.option("--tokens", metavar="LIST", help="Tokens in all; B is tokens / T.")
@click.option("--H", "H", metavar="LIST", help="Heads.")
@click.option("--D", "D", metavar="LIST", help="Head dimensions; sets K and V.")
@click.option("--K", "K", metavar="LIST", help="Dimensions of queries and keys.")
@click.option("--V", "V", metavar="LIST", help="Dimensions of values.")
@click.option("--dtype", metavar="LIST", help="float64, float32, float16, bfloat16.")
@click.option("--mode", metavar="LIST", help="fwd, fwd_bwd, prefill, decode.")
@click.option(
    "--option",
    "case_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An operator's option: feature_map=relu.",
)
@click.option("--seed", type=int, help="Seed of the inputs.  [default: 0]")
@click.option("--op", multiple=True, metavar="LIST", help="Operators, with all their implementations.")
@click.option("--impl", multiple=True, metavar="LIST", help="Implementations: linear/chunk,softmax/flash.")
@click.option("--device", metavar="cpu|cuda", help="[default: cuda if there is one]")
@options.plugin
@options.db
@click.option("--once", is_flag=True, help="Run everything once, checked and untimed.")
@click.option("--processes", type=click.IntRange(1, 64), help="Workers a row.  [default: 5; 3 on CUDA]")
@click.option(
    "--precision", default="1%", show_default=True, metavar="PERCENT", help="Half width of a steady interval."
)
@click.option(
    "--min-time", default="0.5s", show_default=True, metavar="DURATION", help="Timed seconds a row."
)
@click.option(
    "--samples", default=2000, show_default=True, type=click.IntRange(1), help="Most timed calls a row."
)
@click.option(
    "--timeout", default="120s", show_default=True, metavar="DURATION", help="Give up a row after this."
)
@click.option("--time-budget", metavar="DURATION", help="Start no further case after this: 10m.")
@click.option(
    "--max-memory", metavar="SIZE", help="Most memory of a worker: 12GiB.  [default: 80% of what is free]"
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
def command(**given: Any) -> int:
    """Measure implementations over a grid, store every row, write the report.

    \b
    linbench run                                   the grid quick, on the GPU if there is one
    linbench run --grid long-seq --op linear       one operator over a shipped grid
    linbench run --T 1k..16k --impl linear/chunk,softmax/flash --mode fwd,decode
    """  # noqa: D301 - \b is click's mark for text kept as it is
    from linbench import api
    from linbench.core.registry import registry

    plan, resume = _plan(given)
    report_broken(registry)
    if given["dry_run"]:
        _print_plan(plan, given["form"])
        return 0
    if len(plan.jobs) > MANY_CASES and not given["yes"]:
        _ask(len(plan.jobs))
    printer = Printer(given["form"], plan)
    with printer:
        try:
            run = api.measure(
                plan,
                db=given["db"],
                resume=resume,
                command=["linbench", *sys.argv[1:]],
                on_start=printer.start,
                on_job=printer.job,
                on_rows=printer.rows,
            )
        except (KeyboardInterrupt, LinbenchError):
            if printer.run is not None:
                db = "" if given["db"] == options.DEFAULT_DB else f" --db {shlex.quote(given['db'])}"
                printer.say(
                    f"stored so far: {given['db']}; go on with: linbench run --resume {printer.run.id}{db}"
                )
            raise
    printer.say(f"run {run.id}: {_tally(run)}; stored in {given['db']}")
    if not given["no_report"]:
        from linbench.cli.report import write_report

        path = write_report(run, given["report_path"], given["baseline"])
        printer.say(f"report: {path}")
    failed = any(row.status in FAILURES for row in run.measurements)
    return EXIT_FAILED_CASES if given["strict"] and failed else 0


def _plan(given: Mapping[str, Any]) -> tuple[Any, Run | None]:
    """Return the plan that the flags ask for, and the run that it goes on with."""
    from linbench import api
    from linbench.execution.plan import DEFAULT_PROCESSES, Protocol
    from linbench.store.store import Store

    axes = {name: given[name] for name in ("B", "tokens", "T", "H", "D", "K", "V", "dtype", "mode")}
    axes["seed"] = None if given["seed"] is None else [given["seed"]]
    axes["options"] = options.case_options(given["case_options"])
    if given["device"] not in (None, "cpu", "cuda"):
        raise UsageError(f"--device {given['device']!r} is not cpu or cuda")
    budget_s = parse_duration(given["time_budget"], "--time-budget") if given["time_budget"] else None
    if given["resume"]:
        clash = [name for name in ("grid", "op", "impl", "once") if given[name]]
        clash += [name for name, value in axes.items() if value is not None]
        if clash:
            raise UsageError(
                f"--resume takes the run as it was begun; leave out --{clash[0].replace('_', '-')}"
            )
        run, left = api.resumed(Store(given["db"], write=True), given["resume"])
        return left.within(budget_s), run
    device = given["device"] or api.default_device()
    protocol = Protocol(
        once=given["once"],
        processes=given["processes"] or DEFAULT_PROCESSES[device],
        precision=parse_percent(given["precision"], "--precision"),
        min_time_s=parse_duration(given["min_time"], "--min-time"),
        max_samples=given["samples"],
        timeout_s=parse_duration(given["timeout"], "--timeout"),
        max_memory_bytes=parse_bytes(given["max_memory"], "--max-memory") if given["max_memory"] else None,
        time_budget_s=budget_s,
    )
    plan = api.plan_run(
        given["grid"],
        impl=options.words(given["impl"]),
        op=options.words(given["op"]),
        device=device,
        plugins=given["plugins"],
        protocol=protocol,
        axes=axes,
    )
    if given["baseline"] is not None and given["baseline"] not in plan.implementations:
        raise unknown("--baseline", given["baseline"], plan.implementations)
    return plan, None


def report_broken(registry: Any) -> None:
    """Say on stderr which plugins could not be loaded, and why."""
    for plugin in registry.broken:
        click.echo(
            f"plugin {printable(plugin.name)} is broken and left out: {printable(plugin.reason)}", err=True
        )
        for line in plugin.traceback.rstrip().splitlines():
            click.echo(f"    {printable(line)}", err=True)
    for orphan in registry.orphans():
        message = f"{orphan.name} is left out: no operator named {orphan.operator!r} is registered"
        click.echo(printable(message), err=True)


def _print_plan(plan: Any, form: str) -> None:
    """Print each job with the memory and time that it is thought to need."""
    from linbench.core.registry import registry
    from linbench.execution.estimate import job_bytes, job_seconds

    total = 0.0
    for job in plan.jobs:
        operator = registry.operator(job.operator)
        implementation = registry.implementation(job.implementation)
        reason = implementation.why_not(operator, job.case)
        record: dict[str, Any] = {"implementation": job.implementation, "case": job.case.to_json()}
        if reason is None:
            needed = job_bytes(operator, implementation, job)
            took = job_seconds(operator, implementation, job, plan.protocol)
            total += took
            record |= {"estimated_bytes": needed, "estimated_s": took}
            text = f"about {format.size(needed)}, {format.seconds(took)}"
        else:
            record |= {"unsupported": reason}
            text = f"unsupported: {reason}"
        click.echo(
            json.dumps(record)
            if form == "json"
            else printable(f"{job.implementation:<20} {job.case}  {text}")
        )
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
        self._bar = _live_bar(human, self._total) if human.isatty() else None

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
                click.echo(json.dumps(row.to_row(self.run.id)))
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
