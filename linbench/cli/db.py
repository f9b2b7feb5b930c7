"""linbench db: check a database."""

from __future__ import annotations

import json

import click

from linbench.cli import options
from linbench.text import format


@click.group(cls=options.Group, context_settings=options.SETTINGS)
def command() -> None:
    """Check a database."""


@command.command(context_settings=options.SETTINGS)
@options.db
@options.output_format("json")
def check(db: str, form: str) -> int:
    """Check that a database is intact and valid.

    Every row is checked. The exit code is 5 if there is a problem.
    """
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
        count = format.plural(len(problems), "problem") if problems else "no problems"
        click.echo(f"{db}: {format.plural(len(runs), 'run')}, {format.plural(rows, 'row')}, {count}")
    return StoreError.exit_code if problems else 0
