"""linbench import: add an exported run to a database."""

from __future__ import annotations

import json
from pathlib import Path

import click

from linbench.cli import options
from linbench.text import format


@click.command(context_settings=options.SETTINGS)
@click.argument("file")
@options.db
@options.output_format("json")
def command(file: str, db: str, form: str) -> None:
    """Add the run in FILE to a database.

    FILE is a file that `linbench export --to jsonl` wrote, or the .jsonl file of a run next to its database.
    The whole file is checked before anything is stored. Runs that are already stored never change.
    """
    from linbench.store.database import hide_password
    from linbench.store.exchange import importing

    run = importing.read(Path(file))
    new = importing.add(run, db)
    place = hide_password(db)
    if form == "json":
        click.echo(json.dumps({"run": run.id, "file": file, "new": new}))
    elif new:
        click.echo(f"run {run.id}: {format.plural(len(run.measurements), 'row')}; imported into {place}")
    else:
        click.echo(f"run {run.id} is already stored in {place} and is identical; nothing was imported")
