"""linbench db: look after a database."""

from __future__ import annotations

import json

import click

from linbench.cli import options
from linbench.text import format


@click.group(cls=options.Group, context_settings=options.SETTINGS)
def command() -> None:
    """Look after a database."""


@command.command(context_settings=options.SETTINGS)
@options.db
@options.output_format("json")
def check(db: str, form: str) -> int:
    """Check that the database is whole and that every row keeps the rules; exit 5 if not."""
    from linbench.core.errors import StoreError
    from linbench.store.store import Store

    store = Store(db)
    problems = store.problems()
    runs = store.summaries()
    rows = sum(sum(run.statuses.values()) for run in runs)
    if form == "json":
        click.echo(json.dumps({"db": db, "runs": len(runs), "rows": rows, "problems": problems}))
    else:
        for problem in problems:
            click.echo(problem)
        found = format.plural(len(problems), "problem") if problems else "no problems"
        click.echo(f"{db}: {format.plural(len(runs), 'run')}, {format.plural(rows, 'row')}, {found}")
    return StoreError.exit_code if problems else 0
