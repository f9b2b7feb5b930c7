"""linbench export: write a run to a file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from linbench.cli import options, types
from linbench.store.exchange.export import SUFFIXES
from linbench.text import format
from linbench.text.terminal import printable


@click.command(context_settings=options.SETTINGS)
@click.argument("run", default="latest")
@click.option(
    "--to",
    type=types.one_of(SUFFIXES),
    metavar="FORM",
    required=True,
    help=f"The form of the file: {', '.join(SUFFIXES)}.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="The file to write.  [default: RUN.csv, RUN.jsonl, RUN.asv.json, ...]",
)
@options.db
@options.output_format("json")
def command(run: str, to: str, output: str | None, db: str, form: str) -> None:
    """Write RUN to a file.

    RUN is the id of a run, the start of an id, or latest (the default). Rows that the form cannot hold are
    listed on stderr. jsonl holds the whole run; `linbench import` reads it.
    """
    from linbench.store.exchange.export import write_run
    from linbench.store.store import Store

    stored_run = Store(db).run(run, with_samples=True)
    path = Path(output or f"{stored_run.id}.{SUFFIXES[to]}")
    omissions = write_run(stored_run, to, path)
    for line in omissions:
        click.echo(f"left out: {printable(line)}", err=True)
    rows = len(stored_run.measurements) - len(omissions)
    record = {"run": stored_run.id, "path": str(path), "rows": rows}
    click.echo(json.dumps(record) if form == "json" else f"{path}: {format.plural(rows, 'row')}")
