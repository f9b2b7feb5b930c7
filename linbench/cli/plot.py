"""linbench plot: draw a figure for a paper or a talk."""

from __future__ import annotations

import json
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
@click.option("--style", default="neurips", show_default=True, metavar="neurips|icml|iclr|acl|slides")
@click.option(
    "--width", default="text", show_default=True, metavar="text|column", help="Of the venue's page."
)
@click.option("-o", "--output", required=True, metavar="FILE", help="A .pdf, .svg, .pgf or .png.")
@options.db
@options.output_format("json")
def command(
    runs: tuple[str, ...],
    choice: ChartChoice,
    style: str,
    width: str,
    output: str,
    db: str,
    form: str,
) -> None:
    """Draw a figure of RUN... (latest if none is named), with its data in a .csv and a .json beside it.

    \b
    linbench plot latest --style icml --width column --where mode=fwd --facet D -o time.pdf
    linbench plot latest --y speedup --baseline softmax/flash --where mode=fwd --where D=64 -o speedup.svg
    """  # noqa: D301 - \b is click's mark for text kept as it is
    from linbench.paper.figure import figure_form, save_figure
    from linbench.paper.sidecar import Look, sidecar, write_sidecar
    from linbench.paper.venue import venue, width_in

    page, path = venue(style), Path(output)
    inches = width_in(page, width)
    figure_form(path)
    found, chart = charted(runs, db, choice)
    check_report_path(path)
    words = options.typed_words(db, sys.argv[1:])
    made = sidecar(chart, found, words, Look(style, width, inches))
    try:
        save_figure(chart, page, inches, path)
        write_sidecar(path, chart, made)
    except OSError as error:
        raise UsageError(f"-o {path}: cannot be written: {error.strerror or error}") from None
    said = {name: str(path.with_suffix(f".{name}")) for name in ("csv", "json")}
    text = f"{path}, with {said['csv']} and {said['json']}"
    click.echo(json.dumps({"figure": str(path)} | said) if form == "json" else text)
