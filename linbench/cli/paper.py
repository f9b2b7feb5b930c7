"""linbench paper: write all that a paper needs of a run into a folder."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from linbench.cli import options
from linbench.core.errors import UsageError


@click.command(context_settings=options.SETTINGS)
@click.argument("run", default="latest")
@click.option("-o", "--output", required=True, metavar="DIR", help="A folder that is new or empty.")
@click.option("--style", default="neurips", show_default=True, metavar="neurips|icml|iclr|acl|slides")
@click.option(
    "--width", default="text", show_default=True, metavar="text|column", help="Which of the venue's widths."
)
@click.option("--baseline", metavar="IMPLEMENTATION", help="What speed-ups are over.")
@options.db
@options.output_format("json")
def command(run: str, output: str, style: str, width: str, baseline: str | None, db: str, form: str) -> None:
    """Write figures, tables, methods, data and a script that measures again, of RUN, into DIR."""
    from linbench.paper.bundle import write_bundle
    from linbench.store.store import Store

    folder = Path(output)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"-o {folder}: is there and not an empty folder; name a new one")
    found = Store(db).run(run)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as place:
            part = Path(place) / folder.name
            part.mkdir()
            files = write_bundle(found, part, style, width, baseline)
            names = [str(path.relative_to(part)) for path in files]
            part.replace(folder)
    except OSError as error:
        raise UsageError(f"-o {folder}: cannot be written: {error.strerror or error}") from None
    said = {"run": found.id, "folder": str(folder), "files": names}
    click.echo(json.dumps(said) if form == "json" else f"{folder}: {len(names)} files of run {found.id}")
