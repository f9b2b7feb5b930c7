"""linbench plot: draw a figure for a paper or a talk."""

from __future__ import annotations

import json
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
    default="neurips",
    show_default=True,
    metavar="neurips|icml|iclr|acl|slides",
    help="The venue whose widths and fonts the figure uses.",
)
@click.option(
    "--width",
    default="text",
    show_default=True,
    metavar="text|column",
    help="The width of the figure: that of the venue's text or of one column.",
)
@click.option(
    "-o", "--output", required=True, metavar="FILE", help="A .pdf, .svg, .pgf or .png file to write."
)
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
    """Draw a figure of the runs RUN... (default: latest), and write its data to a .csv and a .json file.

    \b
    linbench plot latest --style icml --width column --where mode=fwd --facet D -o time.pdf
    linbench plot latest --y speedup --baseline softmax/flash --where mode=fwd --where D=64 -o speedup.svg

    RUN is the id of a run, the start of an id, or latest. The data files have the name of the figure.
    """  # noqa: D301 - click does not wrap the paragraph after \b
    from linbench.paper.figure import figure_form, save_figure
    from linbench.paper.sidecar import Look, sidecar, write_sidecar
    from linbench.paper.venue import venue, width_in

    page, path = venue(style), Path(output)
    inches = width_in(page, width)
    figure_form(path)
    stored_runs, chart = make_chart(runs, db, choice)
    check_report_path(path)
    command_line = options.command_line(db, sys.argv[1:])
    record = sidecar(chart, stored_runs, command_line, Look(style, width, inches))
    try:
        save_figure(chart, page, inches, path)
        write_sidecar(path, chart, record)
    except OSError as error:
        raise UsageError(f"-o {path}: cannot be written: {error.strerror or error}") from None
    data_files = {name: str(path.with_suffix(f".{name}")) for name in ("csv", "json")}
    text = f"{path}, with {data_files['csv']} and {data_files['json']}"
    click.echo(json.dumps({"figure": str(path)} | data_files) if form == "json" else text)
