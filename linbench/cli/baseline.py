"""linbench baseline: give runs names."""

from __future__ import annotations

import json

import click

from linbench.cli import options
from linbench.cli.text import columns
from linbench.text.terminal import printable


@click.group(cls=options.Group, context_settings=options.SETTINGS)
def command() -> None:
    """Give runs names, by which history and report refer to them.

    A stored run shows where to look. What confirms that something changed is `linbench compare`.
    """


@command.command("set", context_settings=options.SETTINGS)
@click.argument("name")
@click.argument("run")
@options.db
def set_(name: str, run: str, db: str) -> None:
    """Give RUN (an id, the start of one, or latest) the name NAME, whatever run had it before."""
    from linbench.store.store import Store

    found = Store(db, write=True).set_baseline(name, run)
    click.echo(printable(f"baseline {name} is run {found}"))


@command.command("list", context_settings=options.SETTINGS)
@options.db
@options.output_format("json")
def list_(db: str, form: str) -> None:
    """Print the names and their runs."""
    from linbench.store.store import Store

    store = Store(db)
    known = store.baselines()
    if form == "json":
        for name, run in known.items():
            click.echo(json.dumps({"baseline": name, "run": run}))
        return
    began = {run.id: run.created_at for run in store.summaries()}
    for line in columns(("NAME", "RUN", "BEGAN"), [(name, run, began[run]) for name, run in known.items()]):
        click.echo(line)


@command.command(context_settings=options.SETTINGS)
@click.argument("name")
@options.db
def remove(name: str, db: str) -> None:
    """Take the name NAME from its run; the run stays."""
    from linbench.store.store import Store

    Store(db, write=True).remove_baseline(name)
    click.echo(printable(f"baseline {name} is removed"))
