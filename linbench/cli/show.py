"""linbench show: print the rows of a run."""

from __future__ import annotations

import json

import click

from linbench.cli import options
from linbench.cli.text import row_line
from linbench.text import format


@click.command(context_settings=options.SETTINGS)
@click.argument("run", default="latest")
@options.db
@options.output_format("json")
def command(run: str, db: str, form: str) -> None:
    """Print the rows of RUN.

    RUN is the id of a run, the start of an id, or latest (the default).
    """
    from linbench.core.roof import bound_of, roofs_of
    from linbench.store.exchange.jsonl import json_row
    from linbench.store.store import Store

    stored_run = Store(db).run(run)
    rows = stored_run.measurements
    if form == "json":
        for row in rows:
            click.echo(json.dumps(json_row(row, stored_run.id)))
        return
    end = f"finished {stored_run.finished_at}" if stored_run.finished_at else "not finished"
    count = format.plural(len(rows), "row")
    click.echo(f"run {stored_run.id}: began {stored_run.created_at}, {end}, {count}")
    width = max((len(row.implementation) for row in rows), default=0)
    roofs = roofs_of(stored_run.environment.ceilings.entries)
    for row in rows:
        click.echo(row_line(row, width, bound_of(roofs, row.case, row.work)))
