"""linbench paper: write the figures, tables, methods, data and rerun script of a run for a paper."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from linbench.cli import options
from linbench.core.errors import UsageError


@click.command(context_settings=options.SETTINGS)
@click.argument("run", default="latest")
@click.option("-o", "--output", required=True, metavar="DIR", help="A new or empty folder to write to.")
@click.option(
    "--style",
    default="neurips",
    show_default=True,
    metavar="neurips|icml|iclr|acl|slides",
    help="The venue whose widths and fonts the figures use.",
)
@click.option(
    "--width",
    default="text",
    show_default=True,
    metavar="text|column",
    help="The width of the figures: that of the venue's text or of one column.",
)
@click.option(
    "--baseline", metavar="IMPLEMENTATION", help="The implementation over which speed-ups are computed."
)
@options.db
@options.output_format("json")
def command(run: str, output: str, style: str, width: str, baseline: str | None, db: str, form: str) -> None:
    """Write the figures, tables, methods, data and rerun script of RUN to DIR.

    RUN is the id of a run, the start of an id, or latest (the default).
    """
    from linbench.paper.bundle import write_bundle
    from linbench.store.store import Store

    folder = Path(output)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"-o {folder}: exists and is not an empty folder; name a new one")
    stored_run = Store(db).run(run)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as place:
            part = Path(place) / folder.name
            part.mkdir()
            files = write_bundle(stored_run, part, style, width, baseline)
            names = [str(path.relative_to(part)) for path in files]
            part.replace(folder)
    except OSError as error:
        raise UsageError(f"-o {folder}: cannot be written: {error.strerror or error}") from None
    record = {"run": stored_run.id, "folder": str(folder), "files": names}
    text = f"{folder}: {len(names)} files of run {stored_run.id}"
    click.echo(json.dumps(record) if form == "json" else text)
