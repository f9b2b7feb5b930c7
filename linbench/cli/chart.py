"""Chart: the options of a figure and of a table, and the chart that they choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from linbench.cli import types
from linbench.cli.options import together

if TYPE_CHECKING:
    from linbench.analysis.chart import Chart
    from linbench.core.run import Run


@dataclass(frozen=True)
class ChartChoice:
    """What a figure or a table shows.

    Attributes:
        x: The axis.
        y: The quantity.
        hue: What sets series apart.
        facets: What sets panels apart.
        where: By column, the values to keep.
        baseline: What speed-ups are over.
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
    kept: dict[str, list[str]] = {}
    for name, values in where:
        kept.setdefault(name, []).extend(values)
    source = click.get_current_context().get_parameter_source("baseline")
    wanted = source is ParameterSource.COMMANDLINE or y == "speedup"  # a table's default is no question
    return ChartChoice(x, y, hue, sum(facet, ()), kept, baseline if wanted else None)


chart_choice = together(
    "choice",
    _choice,
    click.option("--x", default="T", show_default=True, metavar="T|B|H|K|V|D"),
    click.option("--y", default="time", show_default=True, metavar="time|memory|error|speedup|throughput"),
    click.option(
        "--hue", default="implementation", show_default=True, metavar="COLUMN", help="What sets series apart."
    ),
    click.option(
        "--facet",
        type=types.COLUMNS,
        multiple=True,
        metavar="COLUMN",
        help="What sets panels apart; may be repeated.",
    ),
    click.option(
        "--where",
        type=types.WHERE,
        multiple=True,
        metavar="COLUMN=LIST",
        help="Keep these only: mode=fwd, D=32,64; may be repeated.",
    ),
    click.option("--baseline", metavar="IMPLEMENTATION", help="What --y speedup is over."),
)
"""What a figure or a table shows, as `choice: ChartChoice`."""


def charted(runs: Sequence[str], db: str, choice: ChartChoice) -> tuple[list[Run], Chart]:
    """Return the runs that were named, the latest if none was, and the chart that was chosen.

    Raises:
        UsageError: A name is not known, or the choice does not fit together or the rows.
    """
    from linbench.analysis.chart import chart
    from linbench.store.store import Store
    from linbench.store.table import frame

    store = Store(db)
    names = dict.fromkeys(store.find(name) for name in runs or ("latest",))
    found = [store.run(name) for name in names]
    shown = chart(
        frame(found),
        x=choice.x,
        y=choice.y,
        hue=choice.hue,
        facets=choice.facets,
        where=choice.where,
        baseline=choice.baseline,
    )
    return found, shown
