"""linbench import: add a run that another store wrote to a file."""

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
    """Add the run in FILE, as `linbench export --to jsonl` wrote it, to a database.

    The whole file is checked before anything is stored, and nothing that is stored is ever changed.
    """
    from linbench.store.database import hide_password
    from linbench.store.exchange import importing

    run = importing.read(Path(file))
    new = importing.add(run, db)
    if form == "json":
        click.echo(json.dumps({"run": run.id, "file": file, "new": new}))
    elif new:
        click.echo(
            f"run {run.id}: {format.plural(len(run.measurements), 'row')}; imported into {hide_password(db)}"
        )
    else:
        click.echo(
            f"run {run.id} is stored in {hide_password(db)} already, the very same; nothing was imported"
        )
