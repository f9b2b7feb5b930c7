"""linbench compare: test whether B is slower than, faster than or the same as A."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from linbench.cli import options
from linbench.cli.interrupt import Interrupt
from linbench.cli.text import report_broken
from linbench.core.errors import UsageError
from linbench.core.measurement import Status
from linbench.text.terminal import printable

if TYPE_CHECKING:
    from linbench.compare.side import Side
    from linbench.compare.suite import ComparisonResult
    from linbench.compare.turns import Comparison
    from linbench.execution.schedule import Schedule

EXIT_REGRESSION = 1


@click.command(context_settings=options.SETTINGS)
@click.argument("a")
@click.argument("b")
@options.selection
@options.db
@options.limits
@click.option("--force", is_flag=True, help="Compare stored runs even if their machines differ.")
@options.output_format("json")
def command(
    a: str,
    b: str,
    selection: options.Selection,
    limits: options.Limits,
    db: str,
    force: bool,
    form: str,
) -> int:
    """Test whether B is slower than, faster than or the same as A.

    \b
    linbench compare linear/naive linear/chunk --T 512        two implementations
    linbench compare main . --impl linear/chunk --T 512       two commits; . is the working tree
    linbench compare old/bin/python new/bin/python            two environments
    linbench compare run:ID run:latest                        two stored runs, which prove nothing

    The exit code is 1 if B is slower or wrong, or if it uses more memory.
    """  # noqa: D301 - click does not wrap the paragraph after \b
    from linbench.compare.side import Kind, sides
    from linbench.core.registry import registry

    registry.load(selection.plugins)
    report_broken(registry)
    names = [implementation.name for implementation in registry.implementations()]
    pair = sides(a, b, names, Path.cwd())
    if pair[0].kind is Kind.RUN:
        return _compare_stored(pair, db, force, form)
    if pair[0].kind is Kind.IMPLEMENTATION:
        if selection.implementations or selection.operators:
            raise UsageError(f"{a} and {b} are the implementations; leave out --impl and --op")
        selection = replace(selection, implementations=tuple(side.name for side in pair))
    results = list(run_comparisons(pair, plan_comparisons(selection, limits), form))
    return EXIT_REGRESSION if any(result.regressions for result in results) else 0


def plan_comparisons(selection: options.Selection, limits: options.Limits) -> Schedule:
    """Return the schedule of the selected cases."""
    from linbench import api
    from linbench.core.plan import Settings

    schedule = api.plan_run(
        selection.grid,
        impl=selection.implementations,
        op=selection.operators,
        device=selection.device,
        plugins=selection.plugins,
        settings=Settings(
            timer=selection.timer,
            timeout_s=limits.timeout_s,
            max_memory_bytes=limits.max_memory_bytes,
        ),
        axes=selection.axes,
    )
    api.check_device(schedule.plan.device)
    return schedule


def run_comparisons(pair: tuple[Side, Side], schedule: Schedule, form: str) -> Iterator[ComparisonResult]:
    """Compare each case of a schedule; print and yield the result, as a line or as JSON on stdout."""
    from linbench.compare.live import comparisons, live
    from linbench.compare.side import Kind
    from linbench.compare.suite import compare
    from linbench.core.registry import registry
    from linbench.report import comparison as comparison_text

    cases = comparisons(pair, schedule)
    human = sys.stderr if form == "json" else sys.stdout
    tally: Counter[str] = Counter()

    def check_interrupt(comparison: Comparison, activity: str) -> None:
        del comparison, activity
        interrupt.check()

    with Interrupt() as interrupt, live(pair, schedule, registry, Path.cwd()) as turns:
        workers = turns.about()  # one worker if both sides share it
        for side, worker in zip(pair, (workers[0], workers[-1]), strict=True):
            libraries = {"python": worker.python, "torch": worker.torch, "cuda": worker.cuda}
            versions = ", ".join(f"{name} {version}" for name, version in libraries.items() if version)
            has_hash = side.kind is Kind.REF and side.name != side.text
            name = f"{side.text} ({side.name[:12]})" if has_hash else side.text
            click.echo(printable(f"{'AB'[side is pair[1]]}: {name}: {versions}"), file=human)
        for result in compare(turns, cases, check_interrupt):
            tally[result.answer] += 1
            if form == "json":
                click.echo(json.dumps(result.to_json()))
            elif not result.a.status is result.b.status is Status.UNSUPPORTED:
                click.echo(printable(comparison_text.line(result)))
            yield result
    line = ", ".join(f"{number} {answer}" for answer, number in sorted(tally.items()))
    click.echo(f"{sum(tally.values())} compared: {line}", file=human)


def _compare_stored(pair: tuple[Side, Side], db: str, force: bool, form: str) -> int:
    """Print how two stored runs differ; the exit code is always 0, because stored runs prove nothing."""
    from linbench.compare.stored import suspicions
    from linbench.report.comparison import suspicion_line
    from linbench.store.store import Store

    store = Store(db)
    a, b = (store.run(side.name) for side in pair)
    results = list(suspicions(a, b, force=force))
    for result in results:
        click.echo(json.dumps(result.to_json()) if form == "json" else printable(suspicion_line(result)))
    suspect = sum(result.suspect for result in results)
    click.echo(
        f"{len(results)} rows of {a.id} and {b.id} compared, {suspect} suspect; stored runs prove "
        "nothing: compare the suspect cases live",
        err=form == "json",
    )
    return 0
