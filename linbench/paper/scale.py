"""Scale: the axes of a figure, their units, limits and ticks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import pandas as pd

from linbench.analysis.chart import Chart
from linbench.core.measurement import Status
from linbench.paper.venue import Venue
from linbench.text import format
from linbench.text.latex import Letters

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ENDINGS: Final = {
    Status.OOM: ("x", "out of memory"),
    Status.TIMEOUT: ("+", "timed out"),
    Status.WRONG: ("1", "wrong result"),
    Status.CRASHED: ("2", "crashed"),
    Status.ERROR: ("3", "error"),
    Status.COMPILE_ERROR: ("4", "did not compile"),
    Status.SKIPPED: ("|", "skipped"),
}
LEAST_TICKS: Final = 3
MOST_TICKS: Final = 6
STEPS: Final = (
    *((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)),
    *([round(1 + step / parts, 1) for step in range(9 * parts)] for parts in (2, 5, 10)),
)
X_TITLES: Final = {
    "T": "sequence length T (tokens)",
    "B": "batch size B",
    "H": "heads H",
    "K": "head dimension K",
    "V": "head dimension V",
    "D": "head dimension D",
}


def most_failures(chart: Chart) -> int:
    """Return the largest number of series that failed at one point of a panel."""
    failed = chart.points[chart.points["status"].isin(list(ENDINGS))]
    return int(failed.groupby([*chart.facets, chart.x]).size().max()) if len(failed) else 0


def y_limits(chart: Chart, headroom: float) -> tuple[float, float]:
    """Return the limits of the y axis, which cover every value; wide intervals may be cut.

    A share `headroom` of the axis at its top stays free for failures.
    """
    value, low, high = (chart.points[name] for name in chart.columns)
    finite = value[(value > 0) & (value < math.inf)]
    if finite.empty:
        return 0.1, 10.0
    least, most = float(finite.min()), float(finite.max())
    slack = max((most / least) ** 0.15, 1.5)
    bottom = max(min(least, _least(low, least)), least / slack)
    top = min(max(most, _most(high, most)), most * slack)
    margin = max((top / bottom) ** 0.05, 1.1)
    bottom, top = bottom / margin, top * margin
    top *= (top / bottom) ** (headroom / (1 - headroom))
    return bottom, top


def _least(ends: pd.Series[float], least: float) -> float:
    finite = ends.dropna()
    return float(finite.min()) if len(finite) else least


def _most(ends: pd.Series[float], most: float) -> float:
    finite = ends.dropna()
    return float(finite.max()) if len(finite) else most


def x_axis(axes: Axes, chart: Chart, venue: Venue, width_in: float) -> None:
    """Set a log axis on a panel of this width, with as many of the measured values as labels as fit."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    xs = [int(x) for x in sorted(chart.points[chart.x].unique())]
    texts = [format.short_count(x) for x in xs]
    letters = sum(len(text) + 1.5 for text in texts) * 0.55 * venue.tick_pt / 72
    step = max(1, math.ceil(letters / (0.9 * width_in)))
    ticks = list(range(len(xs) - 1, -1, -step))[::-1]
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator([xs[place] for place in ticks]))
    axes.xaxis.set_major_formatter(FixedFormatter([texts[place] for place in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    margin = (xs[-1] / xs[0]) ** 0.06 if len(xs) > 1 else 2
    axes.set_xlim(xs[0] / margin, xs[-1] * margin)


def y_axis(axes: Axes, chart: Chart, limits: tuple[float, float]) -> None:
    """Set a log axis on a panel, with round numbers in the unit of its title."""
    from matplotlib.ticker import NullFormatter

    bottom, top = limits
    axes.set_yscale("log")
    axes.set_ylim(bottom, top)
    scale, _ = _unit(chart)
    ticks = _ticks(bottom / scale, top / scale)
    texts = [_power(tick) if chart.y == "error" else f"{tick:,g}" for tick in ticks]
    axes.set_yticks([tick * scale for tick in ticks], texts)
    axes.yaxis.set_minor_formatter(NullFormatter())


def _ticks(bottom: float, top: float) -> list[float]:
    """Return three to six round numbers between two ends, from the coarsest steps that produce as many."""
    first, last = math.floor(math.log10(bottom)), math.ceil(math.log10(top))
    ticks: list[float] = []
    for steps in STEPS:
        finer = [
            float(f"{step * 10.0**power:.3g}")
            for power in range(first, last + 1)
            for step in steps
            if bottom <= step * 10.0**power <= top
        ]
        if ticks and len(finer) > MOST_TICKS:
            break
        ticks = finer
        if len(ticks) >= LEAST_TICKS:
            break
    return ticks[:: math.ceil(len(ticks) / MOST_TICKS) or 1]


def _power(value: float) -> str:
    mantissa, exponent = f"{value:.2e}".split("e")
    base = f"10^{{{int(exponent)}}}"
    return f"${base}$" if float(mantissa) == 1 else rf"${float(mantissa):g}\times {base}$"


def _unit(chart: Chart) -> tuple[float, str]:
    """Return the unit in which the geometric mean of the values is between 1 and 1,000, or close to it."""
    if chart.y in ("error", "speedup"):
        return 1.0, ""
    values = chart.points[chart.columns[0]]
    finite = values[(values > 0) & (values < math.inf)]
    middle = math.exp(sum(map(math.log, finite)) / len(finite)) if len(finite) else 1.0
    if chart.y == "time":
        return format.second_unit(middle)
    if chart.y == "memory":
        return format.byte_unit(middle)
    return format.decimal_unit(middle)


def y_title(chart: Chart, letters: Letters) -> str:
    """Return the label of the y axis, with its unit."""
    unit = letters(_unit(chart)[1])
    title = chart.quantity.title
    if chart.y == "throughput":
        return f"throughput ({unit} tokens/s)" if unit else "throughput (tokens/s)"
    if chart.y == "speedup":
        return f"speed-up over {letters(str(chart.baseline))}"
    return f"{title} ({unit})" if unit else title
