"""linbench export: write the rows of a run to a file."""

from __future__ import annotations

from pathlib import Path

import click

from linbench.cli import options


@click.command(context_settings=options.SETTINGS)
@click.argument("run", default="latest")
@click.option("--to", type=click.Choice(["csv", "jsonl", "parquet"]), required=True, help="Form of the file.")
@click.option("-o", "--output", metavar="FILE", help="[default: RUN.csv, RUN.jsonl or RUN.parquet]")
@options.db
@options.output_format("json")
def command(run: str, to: str, output: str | None, db: str, form: str) -> None:
    """Write the rows of RUN (an id, the start of one, or latest) to a file."""
    import json

    from linbench.store.store import Store
    from linbench.store.table import write_table

    found = Store(db).run(run)
    path = Path(output or f"{found.id}.{to}")
    write_table(found, to, path)
    record = {"run": found.id, "path": str(path), "rows": len(found.measurements)}
    click.echo(json.dumps(record) if form == "json" else f"{path}: {len(found.measurements)} rows")
