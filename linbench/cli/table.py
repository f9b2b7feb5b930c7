"""linbench table: print a table for a paper."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from linbench.cli import options
from linbench.cli.chart import ChartChoice, chart_choice, charted
from linbench.cli.report import check_report_path
from linbench.core.errors import UsageError


@click.command(context_settings=options.SETTINGS)
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@chart_choice
@click.option("--style", default="booktabs", show_default=True, metavar="booktabs|markdown")
@click.option("-o", "--output", metavar="FILE", help="Write it there, with a .csv and a .json beside it.")
@options.db
def command(runs: tuple[str, ...], choice: ChartChoice, style: str, output: str | None, db: str) -> None:
    """Print a table of RUN... (latest if none is named): a row an implementation, a column a length.

    \b
    linbench table latest --where mode=fwd --facet D -o time.tex
    linbench table latest --style markdown --y memory --where mode=fwd_bwd,D=64
    """  # noqa: D301 - \b is click's mark for text kept as it is
    from linbench.paper.sidecar import Look, sidecar, write_sidecar
    from linbench.paper.table import write_style

    write = write_style(style)
    found, chart = charted(runs, db, choice)
    text = write(chart)
    if output is None:
        click.echo(text, nl=False)
        return
    path = Path(output)
    if path.suffix in (".csv", ".json"):
        raise UsageError(f"-o {path}: its data goes to {path.suffix} files; name a .tex or .md")
    check_report_path(path)
    words = options.typed_words(db, sys.argv[1:])
    try:
        path.write_text(text, encoding="utf-8")
        write_sidecar(path, chart, sidecar(chart, found, words, Look(style)))
    except OSError as error:
        raise UsageError(f"-o {path}: cannot be written: {error.strerror or error}") from None
    click.echo(f"{path}, with {path.with_suffix('.csv')} and {path.with_suffix('.json')}")
