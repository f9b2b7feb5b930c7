"""Drawing: the data of a run that the script of its page draws and lists."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from linbench.analysis.panel import Panel
from linbench.core.measurement import FAILURES, Measurement
from linbench.core.run import Run
from linbench.report import roofline, slices, values
from linbench.report.figure import Figure, PlotData, figures
from linbench.report.means import groups_of_shapes
from linbench.report.panel import HeatGroup, PanelView, baselines, heat_groups, panel_view
from linbench.report.roofline import Points, RoofLine, roof_lines
from linbench.report.slices import Parts, Positions
from linbench.report.style import Style, styles
from linbench.report.table import Commands, Listing, arguments, listing
from linbench.report.values import Errors, Values
from linbench.text import format


@dataclass(frozen=True)
class AxisText:
    """A value of the axis as text.

    Attributes:
        full: The full number, such as 32,768.
        short: The short form, such as 32k.
    """

    full: str
    short: str


@dataclass(frozen=True)
class Rows:
    """The columns of the rows that every figure and list uses.

    Attributes:
        implementation: The number of the row's implementation.
        x: The row's value of the axis.
        status: The row's status.
        reason: The reason for a status other than ok; empty for ok.
        flags: The row's flags.
        failed: Whether the row counts as a failure.
    """

    implementation: tuple[int, ...]
    x: tuple[int, ...]
    status: tuple[str, ...]
    reason: tuple[str, ...]
    flags: tuple[tuple[str, ...], ...]
    failed: tuple[bool, ...]


@dataclass(frozen=True)
class Drawing:
    """The data of a run that the script of its page draws; a row is identified by its number in the run.

    Attributes:
        run: The id of the run.
        axis: The x axis of most figures.
        axis_texts: The text of each value of the axis.
        baseline: Number of the initial baseline of speed-ups; None if nothing was timed.
        baselines: Numbers of the available baselines.
        implementations: The style of each implementation.
        figures: The figures of the page.
        rows: The rows.
        values: The values of each row in the figures along the axis, by figure.
        errors: The error of each row, by tensor; under the empty name, that of the worst tensor as a share of
            its tolerance.
        positions: Errors along T.
        parts: Memory by purpose.
        points: The rows as points of the roofline.
        roofs: The roofs, by device and dtype, such as "cpu float32".
        panels: The panels.
        heat: The groups of panels that share one table of speed-ups.
        listing: The table of rows.
        commands: The commands that rerun the rows.
    """

    run: str
    axis: str
    axis_texts: Mapping[int, AxisText]
    baseline: int | None
    baselines: tuple[int, ...]
    implementations: tuple[Style, ...]
    figures: tuple[Figure, ...]
    rows: Rows
    values: Mapping[str, Values]
    errors: Mapping[str, Errors]
    positions: Positions
    parts: Parts
    points: Points
    roofs: Mapping[str, tuple[RoofLine, ...]]
    panels: tuple[PanelView, ...]
    heat: tuple[HeatGroup, ...]
    listing: Listing
    commands: Commands


def drawing(
    run: Run,
    rows: pd.DataFrame,
    run_panels: Sequence[Panel],
    names: Sequence[str],
    baseline: str | None,
    differing: Sequence[str],
) -> Drawing:
    """Return the data of a run that the script of its page draws.

    Args:
        run: The run.
        rows: The rows of the run as a frame.
        run_panels: The panels of the run.
        names: The implementations of the run, in the order of their colours.
        baseline: The initial baseline of speed-ups.
        differing: The columns of the cases that differ between rows.
    """
    axis = run_panels[0].axis if run_panels else "T"
    errors = values.error_values(run.measurements)
    baseline_numbers = baselines(run_panels, names, baseline)
    panels = tuple(panel_view(panel, names, baseline_numbers, errors) for panel in run_panels)
    speedups = [speedup for panel in panels for speedup in panel.speedups.values()]
    plot_data = PlotData(
        values=values.row_values(run.measurements, rows),
        errors=errors,
        positions=slices.positions(run.measurements),
        parts=slices.memory_parts(run.measurements),
        points=roofline.points(run.measurements, rows),
        roofs={" ".join(kind): roof_lines(roof) for kind, roof in roofline.roofs_of_run(run).items()},
        speedups=tuple(end for item in speedups for end in values.ends(item.y, item.low, item.high)),
    )
    cases = {case: number for number, case in enumerate(dict.fromkeys(row.case for row in run.measurements))}
    plugins = [word for plugin in run.plan.plugins for word in ("--plugin", plugin)]
    return Drawing(
        run=run.id,
        axis=axis,
        axis_texts=axis_texts(x for panel in panels for x in panel.xs),
        baseline=None if baseline is None else names.index(baseline),
        baselines=baseline_numbers,
        implementations=styles(names),
        figures=figures(run.measurements, plot_data, axis),
        rows=columns(run.measurements, names, axis),
        values=plot_data.values,
        errors=errors,
        positions=plot_data.positions,
        parts=plot_data.parts,
        points=plot_data.points,
        roofs=plot_data.roofs,
        panels=panels,
        heat=heat_groups(groups_of_shapes(run_panels), run_panels),
        listing=listing(
            run.measurements, cases, differing, plot_data.points.share_text if plot_data.roofs else ()
        ),
        commands=Commands(shlex.join(["linbench", "run", *plugins]), tuple(map(arguments, cases))),
    )


def axis_texts(xs: Iterable[int]) -> dict[int, AxisText]:
    """Return the texts of values of the axis."""
    return {x: AxisText(format.count(x), format.short_count(x)) for x in sorted(set(xs))}


def columns(rows: Sequence[Measurement], names: Sequence[str], axis: str) -> Rows:
    """Return the columns of the rows that every figure and list uses."""
    numbers = {name: number for number, name in enumerate(names)}
    return Rows(
        implementation=tuple(numbers[row.implementation] for row in rows),
        x=tuple(getattr(row.case, axis) for row in rows),
        status=tuple(str(row.status) for row in rows),
        reason=tuple(row.reason or "" for row in rows),
        flags=tuple(row.flags for row in rows),
        failed=tuple(row.status in FAILURES for row in rows),
    )
