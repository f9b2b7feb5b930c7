"""linbench import: add what another store, or pytest-benchmark, wrote to a file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from linbench.cli import options


@click.command(context_settings=options.SETTINGS)
@click.argument("file")
@options.db
@options.output_format("json")
def command(file: str, db: str, form: str) -> None:
    """Add FILE, as `linbench export --to jsonl` or `pytest --benchmark-json` wrote it, to a database.

    The whole file is checked before anything is stored, and nothing that is stored is ever changed.
    """
    from linbench.core.run import Run
    from linbench.store.database import shown
    from linbench.store.exchange import importing

    found = importing.read(Path(file))
    new = importing.add(found, db)
    kind, count = (
        ("run", f"{len(found.measurements)} rows")
        if isinstance(found, Run)
        else ("session", f"{len(found.benchmarks)} benchmarks, checked against nothing")
    )
    if form == "json":
        click.echo(json.dumps({kind: found.id, "file": file, "new": new}))
    elif new:
        click.echo(f"{kind} {found.id}: {count}; imported into {shown(db)}")
    else:
        click.echo(f"{kind} {found.id} is stored in {shown(db)} already, the very same; nothing was imported")
