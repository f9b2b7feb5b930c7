"""History: the results of earlier runs of a store at a run's cases, as small charts."""

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
        x: The distance from the left, in the chart's units.
        y: The distance from the top.
        text: The result of the run.
        baseline: Whether the run is a named baseline.
    """

    x: float
    y: float
    text: str
    baseline: bool


@dataclass(frozen=True)
class Chart:
    """The time of one implementation at one case, relative to the calibration op, for each run.

    Attributes:
        title: The implementation and the case.
        machine: The machine of all runs.
        dots: The runs, the earliest first.
        steps: The x position of each detected change, between two runs.
        sentences: The description of the chart.
        width: The width of the chart, in its units.
        height: The height of the chart.
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
    """The charts of a run, those with a change first, and the number of charts left out."""

    charts: tuple[Chart, ...]
    left_out: int


def history(run: Run, series: Sequence[Series], baselines: Mapping[str, str]) -> History:
    """Return the results of earlier runs at a run's cases.

    Args:
        run: The run of the report; later runs are not shown.
        series: The series of its cases, from `linbench.compare.history.series_of`.
        baselines: The ids of named runs, by name.
    """
    series_of_run = [
        part for item in series if (part := item.until(run.id)) is not None and len(part.points) > 1
    ]
    series_of_run.sort(key=lambda item: (not item.changes, -abs(_last_change(item))))
    charts = tuple(_chart(item, baselines) for item in series_of_run[:MOST_CHARTS])
    return History(charts, len(series_of_run) - len(charts))


def _last_change(series: Series) -> float:
    """Return the relative change of the last run against the median of the earlier runs."""
    values = series.values
    return expm1(values[-1] - median(values[:-1]))


def _chart(series: Series, baselines: Mapping[str, str]) -> Chart:
    values = series.values
    low, high = min(values), max(values)
    names_of: dict[str, list[str]] = {}
    for name, run in baselines.items():
        names_of.setdefault(run, []).append(name)

    def x(index: float) -> float:
        return round(MARGIN + (WIDTH - 2 * MARGIN) * index / (len(values) - 1), 1)

    def y(value: float) -> float:
        return round(
            MARGIN + (HEIGHT - 2 * MARGIN) * ((high - value) / (high - low) if high > low else 0.5), 1
        )

    dots = tuple(
        Dot(
            x(index),
            y(value),
            f"{point.run} {' '.join(names_of.get(point.run, ()))}: {format.seconds(point.median_s)}, "
            f"{exp(value):.4g} \u00d7 the calibration op",
            point.run in names_of,
        )
        for index, (point, value) in enumerate(zip(series.points, values, strict=True))
    )
    return Chart(
        f"{series.implementation} {series.case}",
        f"{series.machine}, timer {series.timer}",
        dots,
        tuple(x(change.index - 0.5) for change in series.changes),
        tuple(_sentences(series, names_of)),
    )


def _sentences(series: Series, names_of: Mapping[str, Sequence[str]]) -> list[str]:
    earlier = format.plural(len(series.points) - 1, "earlier run")
    sentences = [f"{_last_change(series):+.1%} against the median of {earlier}."]
    for point, value in zip(series.points[:-1], series.values, strict=False):
        sentences += [
            f"{expm1(series.values[-1] - value):+.1%} against {name}." for name in names_of.get(point.run, ())
        ]
    for change in series.changes:
        before, after = series.points[change.index - 1], series.points[change.index]
        sentences.append(f"{change.size:+.1%} between {before.run} and {after.run}.")
    sentences.append(
        f"The vertical range of the chart is {expm1(max(series.values) - min(series.values)):.1%}."
    )
    return sentences
