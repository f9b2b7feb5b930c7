"""History: what earlier runs of a store found of a run's cases, as small charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, expm1
from statistics import median
from typing import Final

from linbench.compare.history import Series
from linbench.core.run import Run
from linbench.text import format

WIDTH: Final = 320
HEIGHT: Final = 72
MARGIN: Final = 6
MOST_CHARTS: Final = 24


@dataclass(frozen=True)
class Dot:
    """One run in a chart.

    Attributes:
        x: From the left, in the chart's units.
        y: From the top.
        text: What the run found.
        baseline: Whether the run has a name.
    """

    x: float
    y: float
    text: str
    baseline: bool


@dataclass(frozen=True)
class Chart:
    """The time of one implementation at one case over the calibration op's, run after run.

    Attributes:
        title: The implementation and the case.
        machine: Where all of the runs were made.
        dots: The runs, the earliest first.
        steps: Where lines stand between the runs around a change, from the left.
        sentences: What the chart shows.
        width: Of the chart, in its units.
        height: Of the chart.
    """

    title: str
    machine: str
    dots: tuple[Dot, ...]
    steps: tuple[float, ...]
    sentences: tuple[str, ...]
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True)
class History:
    """The charts of a run, those with a change first, and how many were left out."""

    charts: tuple[Chart, ...]
    left_out: int


def history(run: Run, series: Sequence[Series], baselines: Mapping[str, str]) -> History:
    """Return what earlier runs found of a run's cases.

    Args:
        run: The run of the report; what was begun after it is not shown.
        series: Of its cases, as `linbench.compare.history.series_of` makes them.
        baselines: Runs by their names.
    """
    ours = [up_to for one in series if (up_to := one.until(run.id)) is not None and len(up_to.points) > 1]
    ours.sort(key=lambda one: (not one.changes, -abs(_last(one))))
    charts = tuple(_chart(one, baselines) for one in ours[:MOST_CHARTS])
    return History(charts, len(ours) - len(charts))


def _last(series: Series) -> float:
    """Return how much longer the last run took than the median of those before, relative."""
    values = series.values
    return expm1(values[-1] - median(values[:-1]))


def _chart(series: Series, baselines: Mapping[str, str]) -> Chart:
    values = series.values
    low, high = min(values), max(values)
    run_of: dict[str, list[str]] = {}
    for name, run in baselines.items():
        run_of.setdefault(run, []).append(name)

    def x(place: float) -> float:
        return round(MARGIN + (WIDTH - 2 * MARGIN) * place / (len(values) - 1), 1)

    def y(value: float) -> float:
        return round(
            MARGIN + (HEIGHT - 2 * MARGIN) * ((high - value) / (high - low) if high > low else 0.5), 1
        )

    dots = tuple(
        Dot(
            x(place),
            y(value),
            f"{point.run} {' '.join(run_of.get(point.run, ()))}: {format.seconds(point.median_s)}, "
            f"{exp(value):.4g} of the calibration op",
            point.run in run_of,
        )
        for place, (point, value) in enumerate(zip(series.points, values, strict=True))
    )
    return Chart(
        f"{series.implementation} {series.case}",
        f"{series.machine}, timer {series.timer}",
        dots,
        tuple(x(change.index - 0.5) for change in series.changes),
        tuple(_sentences(series, run_of)),
    )


def _sentences(series: Series, run_of: Mapping[str, Sequence[str]]) -> list[str]:
    earlier = format.plural(len(series.points) - 1, "earlier run")
    found = [f"{_last(series):+.1%} against the median of {earlier}."]
    for point, value in zip(series.points[:-1], series.values, strict=False):
        found += [
            f"{expm1(series.values[-1] - value):+.1%} against {name}." for name in run_of.get(point.run, ())
        ]
    for change in series.changes:
        before, after = series.points[change.index - 1], series.points[change.index]
        found.append(f"{change.size:+.1%} between {before.run} and {after.run}.")
    found.append(f"From bottom to top the chart spans {expm1(max(series.values) - min(series.values)):.1%}.")
    return found
