"""linbench table: print a table for a paper."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from linbench.cli import options
from linbench.cli.chart import ChartChoice, chart_choice, make_chart
from linbench.cli.report import check_report_path
from linbench.core.errors import UsageError


@click.command(context_settings=options.SETTINGS)
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@chart_choice
@click.option(
    "--style",
    default="booktabs",
    show_default=True,
    metavar="booktabs|markdown",
    help="The form of the table: LaTeX with booktabs, or Markdown.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write the table to this file instead, and its data to a .csv and a .json file.",
)
@options.db
def command(runs: tuple[str, ...], choice: ChartChoice, style: str, output: str | None, db: str) -> None:
    """Print a table of the runs RUN... (default: latest), with one row per series and one column per x.

    \b
    linbench table latest --where mode=fwd --facet D -o time.tex
    linbench table latest --style markdown --y memory --where mode=fwd_bwd --where D=64

    RUN is the id of a run, the start of an id, or latest. By default each series is an implementation and x
    is T.
    """  # noqa: D301 - click does not wrap the paragraph after \b
    from linbench.paper.sidecar import Look, sidecar, write_sidecar
    from linbench.paper.table import write_style

    write = write_style(style)
    stored_runs, chart = make_chart(runs, db, choice)
    text = write(chart)
    if output is None:
        click.echo(text, nl=False)
        return
    path = Path(output)
    if path.suffix in (".csv", ".json"):
        raise UsageError(f"-o {path}: the data goes to the {path.suffix} file; name a .tex or .md file")
    check_report_path(path)
    command_line = options.command_line(db, sys.argv[1:])
    try:
        path.write_text(text, encoding="utf-8")
        write_sidecar(path, chart, sidecar(chart, stored_runs, command_line, Look(style)))
    except OSError as error:
        raise UsageError(f"-o {path}: cannot be written: {error.strerror or error}") from None
    click.echo(f"{path}, with {path.with_suffix('.csv')} and {path.with_suffix('.json')}")
