"""Drawing: all that the script of a page draws from and lists, made once of a run."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from linbench.analysis.panel import Panel
from linbench.core.measurement import FAILURES, Measurement
from linbench.core.run import Run
from linbench.report import roofline, slices, values
from linbench.report.figure import Drawn, Figure, figures
from linbench.report.means import alike
from linbench.report.panel import HeatGroup, ShownPanel, baselines, heat_groups, shown_panel
from linbench.report.roofline import Points, RoofLine, roof_lines
from linbench.report.slices import Parts, Positions
from linbench.report.style import Style, styles
from linbench.report.table import Commands, Listing, arguments, listing
from linbench.report.values import Errors, Values
from linbench.text import format


@dataclass(frozen=True)
class AxisText:
    """A value of the axis in words.

    Attributes:
        full: As in 32,768.
        short: As one types it: 32k.
    """

    full: str
    short: str


@dataclass(frozen=True)
class Rows:
    """What every figure and list needs of each row, in columns.

    Attributes:
        implementation: Its number.
        x: Its value of the axis.
        status: How it ended.
        reason: Why, where it is not ok.
        flags: What lowers trust in it.
        failed: Whether it counts as a failure.
    """

    implementation: tuple[int, ...]
    x: tuple[int, ...]
    status: tuple[str, ...]
    reason: tuple[str, ...]
    flags: tuple[tuple[str, ...], ...]
    failed: tuple[bool, ...]


@dataclass(frozen=True)
class Drawing:
    """What the script of a run's page draws from; a row is named by its number in the run.

    Attributes:
        run: Its id.
        axis: What stands along most figures.
        axis_texts: By value of the axis, how it is written.
        baseline: Number of the implementation that speed-ups begin with; None if nothing was timed.
        baselines: Numbers of all that they can be over.
        implementations: How each is drawn.
        figures: What there is to draw.
        rows: The rows.
        values: By figure, what those along the axis show of each row.
        errors: By tensor, the error of each row; under the empty name, the share of the worst.
        positions: Errors along T.
        parts: Memory in parts.
        points: Work under the roofs.
        roofs: The roofs, by device and type as in "cpu float32".
        panels: Which rows are shown at a time.
        heat: The panels that one table of speed-ups shows.
        listing: The rows as they are listed.
        commands: How each is measured again.
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
    panels: tuple[ShownPanel, ...]
    heat: tuple[HeatGroup, ...]
    listing: Listing
    commands: Commands


def drawing(
    run: Run,
    rows: pd.DataFrame,
    found: Sequence[Panel],
    names: Sequence[str],
    baseline: str | None,
    differing: Sequence[str],
) -> Drawing:
    """Return what the script of a run's page draws from.

    Args:
        run: The run.
        rows: Its rows as a frame.
        found: Its panels.
        names: Its implementations, in the order of their colours.
        baseline: What speed-ups begin with.
        differing: The columns of the cases that differ between rows.
    """
    axis = found[0].axis if found else "T"
    errors = values.error_values(run.measurements)
    over = baselines(found, names, baseline)
    panels = tuple(shown_panel(panel, names, over, errors) for panel in found)
    speedups = [one for panel in panels for one in panel.speedups.values()]
    drawn = Drawn(
        values=values.row_values(run.measurements, rows),
        errors=errors,
        positions=slices.positions(run.measurements),
        parts=slices.memory_parts(run.measurements),
        points=roofline.points(run.measurements, rows),
        roofs={" ".join(kind): roof_lines(roof) for kind, roof in roofline.roofs_of_run(run).items()},
        speedups=tuple(end for one in speedups for end in values.ends(one.y, one.low, one.high)),
    )
    cases = {case: number for number, case in enumerate(dict.fromkeys(row.case for row in run.measurements))}
    plugins = [word for plugin in run.plan.plugins for word in ("--plugin", plugin)]
    return Drawing(
        run=run.id,
        axis=axis,
        axis_texts=axis_texts(x for panel in panels for x in panel.xs),
        baseline=None if baseline is None else names.index(baseline),
        baselines=over,
        implementations=styles(names),
        figures=figures(run.measurements, drawn, axis),
        rows=columns(run.measurements, names, axis),
        values=drawn.values,
        errors=errors,
        positions=drawn.positions,
        parts=drawn.parts,
        points=drawn.points,
        roofs=drawn.roofs,
        panels=panels,
        heat=heat_groups(alike(found), found),
        listing=listing(run.measurements, cases, differing, drawn.points.light if drawn.roofs else ()),
        commands=Commands(shlex.join(["linbench", "run", *plugins]), tuple(map(arguments, cases))),
    )


def axis_texts(xs: Iterable[int]) -> dict[int, AxisText]:
    """Return how values of the axis are written."""
    return {x: AxisText(format.count(x), format.short_count(x)) for x in sorted(set(xs))}


def columns(rows: Sequence[Measurement], names: Sequence[str], axis: str) -> Rows:
    """Return what every figure and list needs of each row."""
    number = {name: place for place, name in enumerate(names)}
    return Rows(
        implementation=tuple(number[row.implementation] for row in rows),
        x=tuple(getattr(row.case, axis) for row in rows),
        status=tuple(str(row.status) for row in rows),
        reason=tuple(row.reason or "" for row in rows),
        flags=tuple(row.flags for row in rows),
        failed=tuple(row.status in FAILURES for row in rows),
    )
