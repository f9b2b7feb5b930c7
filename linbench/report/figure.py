"""Figure: what the page has to draw, with its words and the ticks that its axes may have."""

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
        id: Its name in the page.
        title: What it shows.
        note: How to read it.
        x_title: What stands along it; the axis of the run if empty.
        y_title: What stands beside it.
        x_rulers: Ticks that x may have, from fine to coarse; none where they are the values of the axis.
        y_rulers: Ticks that y may have.
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
        "Most bytes that one call holds above its inputs; lower is better.",
        y_title="peak memory above the inputs",
    ),
    Figure(
        "speedup",
        "Speed-up",
        "Time of the baseline over time, with its 95% interval; above 1 is faster.",
        y_title="speed-up over the baseline",
    ),
    Figure(
        "error",
        "Error",
        "Distance from the float64 reference; the dashed line is what the data type allows.",
        y_title="relative L2 error",
    ),
    Figure(
        "throughput",
        "Throughput",
        "Tokens that one call takes in, over its time; a step of decoding takes one a sequence.",
        y_title="tokens a second",
    ),
    Figure(
        "state",
        "State",
        "Bytes of the recurrent state or cache that a call is given or returns; lower is better.",
        y_title="bytes of the state",
    ),
    Figure(
        "approximation",
        "Approximation",
        "Distance of the operator's exact output from that of the operator it approximates, on the "
        "same inputs: what no implementation of it can undo.",
        y_title="relative L2 distance",
    ),
    Figure(
        "reach",
        "Reach before out of memory",
        "The largest that fits; \u2715 where memory was not enough, \u25b8 where it always was.",
    ),
    Figure(
        "pareto",
        "Error against time",
        "Lower left is better; no other is both as quick and as exact as those on the dotted line.",
        x_title="time of one call",
        y_title="relative L2 error",
    ),
    Figure(
        "position",
        "Error along the sequence",
        "Error of the worst tensor in stretches of equal length, from the first token to the last.",
        x_title="token",
        y_title="relative L2 error of a stretch",
    ),
    Figure(
        "parts",
        "Memory in parts",
        "What the most bytes that one call holds above its inputs are made of; lower is better.",
        x_title="bytes above the inputs",
    ),
    Figure(
        "roofline",
        "Roofline",
        "Work over the fewest bytes, under the ceilings that were measured. A marker is the useful "
        "work; the small one at the end of its line is all that the algorithm does, useful or not.",
        x_title="operations a byte, FLOP/B",
        y_title="operations a second, FLOP/s",
    ),
)


@dataclass(frozen=True)
class Drawn:
    """What there is to draw of a run's rows.

    Attributes:
        values: By figure, what those along the axis show of each row.
        errors: By tensor, the error of each row.
        positions: Errors along T.
        parts: Memory in parts.
        points: Work under the roofs.
        roofs: The roofs, by device and type as in "cpu float32".
        speedups: The least and the greatest end of any speed-up's interval; none without a speed-up.
    """

    values: Mapping[str, Values]
    errors: Mapping[str, Errors]
    positions: Positions
    parts: Parts
    points: Points
    roofs: Mapping[str, tuple[RoofLine, ...]]
    speedups: tuple[float, ...]


def figures(rows: Sequence[Measurement], drawn: Drawn, axis: str) -> tuple[Figure, ...]:
    """Return the figures for which some row has anything to draw; the first four always.

    Args:
        rows: The rows.
        drawn: What there is to draw of them.
        axis: What stands along most of them.
    """
    some = {
        "throughput": any(row.time and row.case.mode == "decode" for row in rows),
        "state": any(drawn.values["state"].y),
        "approximation": any(row.approximation for row in rows),
        "reach": any(is_out_of_memory(row.status, row.cause) for row in rows),
        "pareto": any(row.time and row.errors for row in rows),
        "position": any(drawn.positions.values.y),
        "parts": any(row.memory and (row.memory.output_bytes or row.memory.workspace_bytes) for row in rows),
        "roofline": any(drawn.points.values.y),
    }
    rulers = _rulers(drawn)
    return tuple(
        replace(
            figure,
            x_title=figure.x_title or AXES[axis],
            x_rulers=rulers[figure.id][0],
            y_rulers=rulers[figure.id][1],
        )
        for figure in FIGURES
        if some.get(figure.id, True)
    )


def _rulers(drawn: Drawn) -> dict[str, tuple[Rulers, Rulers]]:
    """Return by figure the rulers of x and of y."""
    values, points = drawn.values, drawn.points
    errors = [(*each.values.y, *each.tolerance) for each in drawn.errors.values()]
    lines = [line for roof in drawn.roofs.values() for line in roof]
    of_time = log_rulers(_ends(values["time"]), format.seconds)
    of_error = log_rulers(_known(*errors), format.digits)
    most = max(_known(drawn.parts.values.y), default=1.0)
    return {
        "time": ((), of_time),
        "memory": ((), log_rulers(_ends(values["memory"]), format.size, base=2)),
        "speedup": ((), log_rulers(drawn.speedups, format.ratio)),
        "error": ((), of_error),
        "throughput": ((), log_rulers(_ends(values["throughput"]), format.rate)),
        "state": ((), log_rulers(_ends(values["state"]), format.size, base=2)),
        "approximation": ((), log_rulers(_ends(values["approximation"]), format.digits)),
        "reach": ((), ()),
        "pareto": (of_time, of_error),
        "position": ((), log_rulers(_known(*drawn.positions.along), format.digits)),
        "parts": (multiple_rulers(most, format.size), ()),
        "roofline": (
            log_rulers(
                _known(points.intensity, points.algorithmic_intensity, [line.x[1] for line in lines]),
                format.digits,
            ),
            log_rulers(
                _known(points.values.y, points.algorithmic, [line.y[1] for line in lines]), format.rate
            ),
        ),
    }


def _ends(values: Values) -> Iterable[float]:
    return ends(values.y, values.low, values.high)


def _known(*numbers: Iterable[float | None]) -> list[float]:
    return [number for number in chain(*numbers) if number is not None]
