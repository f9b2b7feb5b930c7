"""linbench compare: is B faster, slower or the same as A?"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from linbench.cli import options
from linbench.cli.interrupt import Interrupt
from linbench.cli.text import report_broken
from linbench.core.errors import UsageError
from linbench.core.measurement import Status
from linbench.core.quantity import parse_duration
from linbench.text.terminal import printable

EXIT_REGRESSION = 1
SHOWN = ("python", "torch", "cuda")


@click.command(context_settings=options.SETTINGS)
@click.argument("a")
@click.argument("b")
@options.cases
@options.implementations
@options.machine
@options.db
@options.bounds
@click.option("--force", is_flag=True, help="Compare stored runs of different machines.")
@options.output_format("json")
def command(**given: Any) -> int:
    """Say whether B is slower, faster or the same as A; exit 1 if it is slower, wrong or heavier.

    \b
    linbench compare linear/naive linear/chunk --T 512        two implementations
    linbench compare main . --impl linear/chunk --T 512       two commits; . is the working tree as it is
    linbench compare old/bin/python new/bin/python            two environments
    linbench compare run:ID run:latest                        two stored runs, which prove nothing
    """  # noqa: D301 - \b is click's mark for text kept as it is
    from linbench.compare.side import Kind, sides
    from linbench.core.registry import registry

    registry.load(given["plugin"])
    report_broken(registry)
    names = [found.name for found in registry.implementations()]
    a, b = given["a"], given["b"]
    pair = sides(a, b, names, Path.cwd())
    if pair[0].kind is Kind.RUN:
        return _stored(pair, given)
    if pair[0].kind is Kind.IMPLEMENTATION and (given["impl"] or given["op"]):
        raise UsageError(f"{a} and {b} are the implementations; leave out --impl and --op")
    chosen = [side.name for side in pair] if pair[0].kind is Kind.IMPLEMENTATION else None
    found = list(measured(pair, planned(given, chosen), given["form"]))
    return EXIT_REGRESSION if any(compared.regressions for compared in found) else 0


def planned(given: Mapping[str, Any], implementations: Sequence[str] | None = None) -> Any:
    """Return the plan that the flags ask for, of these implementations if they are given."""
    from linbench import api
    from linbench.core.plan import Settings

    settings = Settings(
        timer=given["timer"],
        timeout_s=parse_duration(given["timeout"], "--timeout"),
        max_memory_bytes=options.max_memory_bytes(given),
    )
    plan = api.plan_run(
        given["grid"],
        impl=options.words(given["impl"], "--impl") if implementations is None else implementations,
        op=options.words(given["op"], "--op") if implementations is None else (),
        device=given["device"],
        plugins=given["plugin"],
        settings=settings,
        axes=options.axes(given),
    )
    api.check_device(plan.plan.device)
    return plan


def measured(pair: Any, plan: Any, form: str) -> Any:
    """Yield what is found at each case of a plan, and print it: lines for people, or JSON on stdout."""
    from linbench.compare.live import comparisons, live
    from linbench.compare.side import Kind
    from linbench.compare.suite import compare
    from linbench.core.registry import registry
    from linbench.report import comparison as words

    cases = comparisons(pair, plan)
    human = sys.stderr if form == "json" else sys.stdout
    tally: Counter[str] = Counter()

    def look(found: Any, doing: str) -> None:
        del found, doing
        interrupt.look()

    with Interrupt() as interrupt, live(pair, plan, registry, Path.cwd()) as turns:
        for side, about in zip(pair, _twice(turns.about()), strict=True):
            versions = ", ".join(f"{name} {about[name]}" for name in SHOWN if about[name])
            hashed = side.kind is Kind.REF and side.name != side.given
            name = f"{side.given} ({side.name[:12]})" if hashed else side.given
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


def _twice(about: Sequence[Any]) -> tuple[Any, Any]:
    """Return what the worker of each side said, which may be one and the same."""
    return about[0], about[-1]


def _stored(pair: Any, given: Mapping[str, Any]) -> int:
    """Print what two stored runs say; no gate goes by it."""
    from linbench.compare.stored import suspicions
    from linbench.report.comparison import suspicion_line
    from linbench.store.store import Store

    store = Store(given["db"])
    one, other = (store.run(side.name) for side in pair)
    found = list(suspicions(one, other, force=given["force"]))
    for each in found:
        click.echo(json.dumps(each.to_json()) if given["form"] == "json" else printable(suspicion_line(each)))
    suspect = sum(each.suspect for each in found)
    click.echo(
        f"{len(found)} rows of {one.id} and {other.id} compared, {suspect} suspect; stored runs prove "
        "nothing: compare live what is suspect",
        err=given["form"] == "json",
    )
    return 0
