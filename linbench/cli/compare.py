"""linbench compare: is B faster, slower or the same as A?"""

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
@options.bounds
@click.option("--force", is_flag=True, help="Compare stored runs of different machines.")
@options.output_format("json")
def command(
    a: str,
    b: str,
    selection: options.Selection,
    bounds: options.Bounds,
    db: str,
    force: bool,
    form: str,
) -> int:
    """Say whether B is slower, faster or the same as A; exit 1 if it is slower, wrong or heavier.

    \b
    linbench compare linear/naive linear/chunk --T 512        two implementations
    linbench compare main . --impl linear/chunk --T 512       two commits; . is the working tree as it is
    linbench compare old/bin/python new/bin/python            two environments
    linbench compare run:ID run:latest                        two stored runs, which prove nothing
    """  # noqa: D301 - \b is click's mark for text kept as it is
    from linbench.compare.side import Kind, sides
    from linbench.core.registry import registry

    registry.load(selection.plugins)
    report_broken(registry)
    names = [found.name for found in registry.implementations()]
    pair = sides(a, b, names, Path.cwd())
    if pair[0].kind is Kind.RUN:
        return _stored(pair, db, force, form)
    if pair[0].kind is Kind.IMPLEMENTATION:
        if selection.implementations or selection.operators:
            raise UsageError(f"{a} and {b} are the implementations; leave out --impl and --op")
        selection = replace(selection, implementations=tuple(side.name for side in pair))
    found = list(measured(pair, planned(selection, bounds), form))
    return EXIT_REGRESSION if any(compared.regressions for compared in found) else 0


def planned(selection: options.Selection, bounds: options.Bounds) -> Schedule:
    """Return the schedule of what was asked for."""
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
            timeout_s=bounds.timeout_s,
            max_memory_bytes=bounds.max_memory_bytes,
        ),
        axes=selection.axes,
    )
    api.check_device(schedule.plan.device)
    return schedule


def measured(pair: tuple[Side, Side], schedule: Schedule, form: str) -> Iterator[ComparisonResult]:
    """Yield what is found at each case of a schedule, and print it: lines for people, or JSON on stdout."""
    from linbench.compare.live import comparisons, live
    from linbench.compare.side import Kind
    from linbench.compare.suite import compare
    from linbench.core.registry import registry
    from linbench.report import comparison as words

    cases = comparisons(pair, schedule)
    human = sys.stderr if form == "json" else sys.stdout
    tally: Counter[str] = Counter()

    def look(found: Comparison, doing: str) -> None:
        del found, doing
        interrupt.look()

    with Interrupt() as interrupt, live(pair, schedule, registry, Path.cwd()) as turns:
        told = turns.about()  # of one worker where both sides share it
        for side, about in zip(pair, (told[0], told[-1]), strict=True):
            known = {"python": about.python, "torch": about.torch, "cuda": about.cuda}
            versions = ", ".join(f"{name} {version}" for name, version in known.items() if version)
            hashed = side.kind is Kind.REF and side.name != side.text
            name = f"{side.text} ({side.name[:12]})" if hashed else side.text
            click.echo(printable(f"{'AB'[side is pair[1]]}: {name}: {versions}"), file=human)
        for found in compare(turns, cases, look):
            tally[found.answer] += 1
            if form == "json":
                click.echo(json.dumps(found.to_json()))
            elif not found.a.status is found.b.status is Status.UNSUPPORTED:
                click.echo(printable(words.line(found)))
            yield found
    line = ", ".join(f"{number} {answer}" for answer, number in sorted(tally.items()))
    click.echo(f"{sum(tally.values())} compared: {line}", file=human)


def _stored(pair: tuple[Side, Side], db: str, force: bool, form: str) -> int:
    """Print what two stored runs say; no gate goes by it."""
    from linbench.compare.stored import suspicions
    from linbench.report.comparison import suspicion_line
    from linbench.store.store import Store

    store = Store(db)
    one, other = (store.run(side.name) for side in pair)
    found = list(suspicions(one, other, force=force))
    for each in found:
        click.echo(json.dumps(each.to_json()) if form == "json" else printable(suspicion_line(each)))
    suspect = sum(each.suspect for each in found)
    click.echo(
        f"{len(found)} rows of {one.id} and {other.id} compared, {suspect} suspect; stored runs prove "
        "nothing: compare live what is suspect",
        err=form == "json",
    )
    return 0
