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
    """Print the rows of RUN: an id, the start of one, or latest."""
    from linbench.core.roof import bound_of, roofs_of
    from linbench.store.exchange.jsonl import json_row
    from linbench.store.store import Store

    found = Store(db).run(run)
    if form == "json":
        for row in found.measurements:
            click.echo(json.dumps(json_row(row, found.id)))
        return
    ended = f"finished {found.finished_at}" if found.finished_at else "not finished"
    click.echo(
        f"run {found.id}: began {found.created_at}, {ended}, {format.plural(len(found.measurements), 'row')}"
    )
    width = max((len(row.implementation) for row in found.measurements), default=0)
    roofs = roofs_of(found.environment.ceilings.entries)
    for row in found.measurements:
        click.echo(row_line(row, width, bound_of(roofs, row.case, row.work)))
