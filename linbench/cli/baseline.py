"""linbench baseline: name runs."""

from __future__ import annotations

import json

import click

from linbench.cli import options
from linbench.cli.text import columns
from linbench.text.terminal import printable


@click.group(cls=options.Group, context_settings=options.SETTINGS)
def command() -> None:
    """Name runs, so that history and report can refer to them.

    A stored run only indicates a change; `linbench compare` confirms it.
    """


@command.command("set", context_settings=options.SETTINGS)
@click.argument("name")
@click.argument("run")
@options.db
def set_(name: str, run: str, db: str) -> None:
    """Give the name NAME to RUN; a run that had the name loses it.

    RUN is the id of a run, the start of an id, or latest.
    """
    from linbench.store.store import Store

    run_id = Store(db, write=True).set_baseline(name, run)
    click.echo(printable(f"baseline {name} is run {run_id}"))


@command.command("list", context_settings=options.SETTINGS)
@options.db
@options.output_format("json")
def list_(db: str, form: str) -> None:
    """List the names and their runs."""
    from linbench.store.store import Store

    store = Store(db)
    baselines = store.baselines()
    if form == "json":
        for name, run in baselines.items():
            click.echo(json.dumps({"baseline": name, "run": run}))
        return
    start_times = {run.id: run.created_at for run in store.summaries()}
    rows = [(name, run, start_times[run]) for name, run in baselines.items()]
    for line in columns(("NAME", "RUN", "BEGAN"), rows):
        click.echo(line)


@command.command(context_settings=options.SETTINGS)
@click.argument("name")
@options.db
def remove(name: str, db: str) -> None:
    """Remove the name NAME; its run stays in the database."""
    from linbench.store.store import Store

    Store(db, write=True).remove_baseline(name)
    click.echo(printable(f"baseline {name} is removed"))
