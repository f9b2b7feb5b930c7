"""Chart: the options that a figure and a table share, and the chart that they select."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from linbench.cli import types
from linbench.cli.options import combine_options

if TYPE_CHECKING:
    from linbench.analysis.chart import Chart
    from linbench.core.run import Run


@dataclass(frozen=True)
class ChartChoice:
    """The choice of what a figure or a table shows.

    Attributes:
        x: Axis of the case on the x axis, or in the columns of a table.
        y: Quantity that is shown.
        hue: Column whose values are the series.
        facets: Columns whose values are the panels.
        where: Values to keep, by column.
        baseline: Implementation over which speed-ups are computed.
    """

    x: str
    y: str
    hue: str
    facets: tuple[str, ...]
    where: Mapping[str, Sequence[str]]
    baseline: str | None


def _choice(
    x: str,
    y: str,
    hue: str,
    facet: tuple[tuple[str, ...], ...],
    where: tuple[tuple[str, tuple[str, ...]], ...],
    baseline: str | None,
) -> ChartChoice:
    values_to_keep: dict[str, list[str]] = {}
    for name, values in where:
        values_to_keep.setdefault(name, []).extend(values)
    source = click.get_current_context().get_parameter_source("baseline")
    # [tool.linbench] may set a baseline for other commands: it is no error with another quantity.
    uses_baseline = source is ParameterSource.COMMANDLINE or y == "speedup"
    return ChartChoice(x, y, hue, sum(facet, ()), values_to_keep, baseline if uses_baseline else None)


chart_choice = combine_options(
    "choice",
    _choice,
    click.option(
        "--x",
        default="T",
        show_default=True,
        metavar="T|B|H|K|V|D",
        help="The axis to show the quantity over.",
    ),
    click.option(
        "--y",
        default="time",
        show_default=True,
        metavar="time|memory|error|speedup|throughput",
        help="The quantity to show.",
    ),
    click.option(
        "--hue",
        default="implementation",
        show_default=True,
        metavar="COLUMN",
        help="The column whose values are the series.",
    ),
    click.option(
        "--facet",
        type=types.COLUMNS,
        multiple=True,
        metavar="COLUMN",
        help="A column whose values are the panels; may be repeated.",
    ),
    click.option(
        "--where",
        type=types.WHERE,
        multiple=True,
        metavar="COLUMN=LIST",
        help="Keep only rows with these values, as in mode=fwd or D=32,64; may be repeated.",
    ),
    click.option(
        "--baseline",
        metavar="IMPLEMENTATION",
        help="The implementation over which --y speedup is computed.",
    ),
)
"""The choice of what a figure or a table shows, passed to the command as `choice: ChartChoice`."""


def make_chart(names: Sequence[str], db: str, choice: ChartChoice) -> tuple[list[Run], Chart]:
    """Return the named runs (the latest if none is named) and the chart of them.

    Raises:
        UsageError: There is no run of a name, or the choice contradicts itself or does not suit the rows.
    """
    from linbench.analysis.chart import chart
    from linbench.store.store import Store
    from linbench.store.table import frame

    store = Store(db)
    ids = dict.fromkeys(store.find(name) for name in names or ("latest",))
    runs = [store.run(run) for run in ids]
    run_chart = chart(
        frame(runs),
        x=choice.x,
        y=choice.y,
        hue=choice.hue,
        facets=choice.facets,
        where=choice.where,
        baseline=choice.baseline,
    )
    return runs, run_chart
