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
    "--to", type=types.one_of(SUFFIXES), metavar="FORM", required=True, help=", ".join(SUFFIXES) + "."
)
@click.option("-o", "--output", metavar="FILE", help="[default: RUN.csv, RUN.jsonl, RUN.asv.json, ...]")
@options.db
@options.output_format("json")
def command(run: str, to: str, output: str | None, db: str, form: str) -> None:
    """Write RUN (an id, the start of one, or latest) to a file.

    What the form cannot hold is named on stderr. jsonl holds the whole run, and `linbench import` takes it.
    """
    from linbench.store.exchange.export import write_run
    from linbench.store.store import Store

    found = Store(db).run(run, with_samples=True)
    path = Path(output or f"{found.id}.{SUFFIXES[to]}")
    left_out = write_run(found, to, path)
    for line in left_out:
        click.echo(f"left out: {printable(line)}", err=True)
    rows = len(found.measurements) - len(left_out)
    record = {"run": found.id, "path": str(path), "rows": rows}
    click.echo(json.dumps(record) if form == "json" else f"{path}: {format.plural(rows, 'row')}")
