"""Figure: the figures of a page, with their texts and the candidate ticks of their axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from linbench.analysis.capacity import is_out_of_memory
from linbench.analysis.ruler import Ruler, log_rulers, multiple_rulers
from linbench.core.measurement import Measurement
from linbench.report.roofline import Points, RoofLine
from linbench.report.slices import Parts, Positions
from linbench.report.values import Errors, Values, ends
from linbench.text import format

AXES: Final = {
    "T": "sequence length T, tokens",
    "B": "batch size B, sequences",
    "H": "heads H",
    "K": "head dimension K, elements",
}
Rulers = tuple[Ruler, ...]


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        id: The identifier of the figure in the page.
        title: The title.
        note: The caption.
        x_title: The title of the x axis; that of the run's axis if empty.
        y_title: The title of the y axis.
        x_rulers: Candidate ticks of x, from fine to coarse; none if they are the values of the run's axis.
        y_rulers: Candidate ticks of y.
    """

    id: str
    title: str
    note: str
    x_title: str = ""
    y_title: str = ""
    x_rulers: Rulers = ()
    y_rulers: Rulers = ()


FIGURES: Final = (
    Figure(
        "time",
        "Time",
        "Median of one call with its 95% interval; lower is better.",
        y_title="time of one call",
    ),
    Figure(
        "memory",
        "Memory",
        "Peak memory of one call above its inputs; lower is better.",
        y_title="peak memory above the inputs",
    ),
    Figure(
        "speedup",
        "Speed-up",
        "Time of the baseline over the time of the implementation, with its 95% interval; above 1 is faster.",
        y_title="speed-up over the baseline",
    ),
    Figure(
        "error",
        "Error",
        "Error against the float64 reference; the dashed line is the tolerance of the data type.",
        y_title="relative L2 error",
    ),
    Figure(
        "throughput",
        "Throughput",
        "Tokens processed per second; a decode step processes one token per sequence. Higher is better.",
        y_title="tokens per second",
    ),
    Figure(
        "state",
        "State",
        "Size of the recurrent state or KV cache that a call reads or returns; lower is better.",
        y_title="size of the state",
    ),
    Figure(
        "approximation",
        "Approximation",
        "Distance between the operator's exact output and that of the operator that it approximates, on "
        "the same inputs. It is independent of the implementation.",
        y_title="relative L2 distance",
    ),
    Figure(
        "reach",
        "Largest size that fits in memory",
        "The bar ends at the largest size that fits; \u2715 out of memory, \u25b8 never out of memory.",
    ),
    Figure(
        "pareto",
        "Error against time",
        "Lower left is better; the dotted line is the Pareto front.",
        x_title="time of one call",
        y_title="relative L2 error",
    ),
    Figure(
        "position",
        "Error along the sequence",
        "Error of the worst tensor in segments of equal length, from the first token to the last.",
        x_title="token",
        y_title="relative L2 error of a segment",
    ),
    Figure(
        "parts",
        "Memory by purpose",
        "Peak memory of one call above its inputs, split by purpose; lower is better.",
        x_title="bytes above the inputs",
    ),
    Figure(
        "roofline",
        "Roofline",
        "Throughput against arithmetic intensity, under the measured ceilings. A large marker is the useful "
        "work; the small marker at the end of its line is the work of the algorithm, useful or not.",
        x_title="arithmetic intensity, FLOP/B",
        y_title="throughput, FLOP/s",
    ),
)


@dataclass(frozen=True)
class PlotData:
    """The data of a run's rows that figures show.

    Attributes:
        values: The values of each row in the figures along the axis, by figure.
        errors: The error of each row, by tensor.
        positions: Errors along T.
        parts: Memory by purpose.
        points: The rows as points of the roofline.
        roofs: The roofs, by device and dtype, such as "cpu float32".
        speedups: The ends of the intervals of all speed-ups; none without a speed-up.
    """

    values: Mapping[str, Values]
    errors: Mapping[str, Errors]
    positions: Positions
    parts: Parts
    points: Points
    roofs: Mapping[str, tuple[RoofLine, ...]]
    speedups: tuple[float, ...]


def figures(rows: Sequence[Measurement], plot_data: PlotData, axis: str) -> tuple[Figure, ...]:
    """Return the figures for which some row has data; the first four always.

    Args:
        rows: The rows.
        plot_data: The data of the rows.
        axis: The x axis of most figures.
    """
    has_data = {
        "throughput": any(row.time and row.case.mode == "decode" for row in rows),
        "state": any(plot_data.values["state"].y),
        "approximation": any(row.approximation for row in rows),
        "reach": any(is_out_of_memory(row.status, row.cause) for row in rows),
        "pareto": any(row.time and row.errors for row in rows),
        "position": any(plot_data.positions.values.y),
        "parts": any(row.memory and (row.memory.output_bytes or row.memory.workspace_bytes) for row in rows),
        "roofline": any(plot_data.points.values.y),
    }
    rulers = _rulers(plot_data)
    return tuple(
        replace(
            figure,
            x_title=figure.x_title or AXES[axis],
            x_rulers=rulers[figure.id][0],
            y_rulers=rulers[figure.id][1],
        )
        for figure in FIGURES
        if has_data.get(figure.id, True)
    )


def _rulers(plot_data: PlotData) -> dict[str, tuple[Rulers, Rulers]]:
    """Return the rulers of x and of y, by figure."""
    values, points = plot_data.values, plot_data.points
    errors = [(*error.values.y, *error.tolerance) for error in plot_data.errors.values()]
    lines = [line for roof in plot_data.roofs.values() for line in roof]
    time_rulers = log_rulers(_ends(values["time"]), format.seconds)
    error_rulers = log_rulers(_present(*errors), format.digits)
    most = max(_present(plot_data.parts.values.y), default=1.0)
    return {
        "time": ((), time_rulers),
        "memory": ((), log_rulers(_ends(values["memory"]), format.size, base=2)),
        "speedup": ((), log_rulers(plot_data.speedups, format.ratio)),
        "error": ((), error_rulers),
        "throughput": ((), log_rulers(_ends(values["throughput"]), format.rate)),
        "state": ((), log_rulers(_ends(values["state"]), format.size, base=2)),
        "approximation": ((), log_rulers(_ends(values["approximation"]), format.digits)),
        "reach": ((), ()),
        "pareto": (time_rulers, error_rulers),
        "position": ((), log_rulers(_present(*plot_data.positions.along), format.digits)),
        "parts": (multiple_rulers(most, format.size), ()),
        "roofline": (
            log_rulers(
                _present(points.intensity, points.algorithmic_intensity, [line.x[1] for line in lines]),
                format.digits,
            ),
            log_rulers(
                _present(points.values.y, points.algorithmic, [line.y[1] for line in lines]), format.rate
            ),
        ),
    }


def _ends(values: Values) -> Iterable[float]:
    return ends(values.y, values.low, values.high)


def _present(*numbers: Iterable[float | None]) -> list[float]:
    return [number for number in chain(*numbers) if number is not None]
