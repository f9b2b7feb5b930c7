"""Figure: a chart drawn by matplotlib at the width of a venue; the same chart produces the same bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from linbench.analysis.chart import NUMBERS, Chart
from linbench.analysis.palette import LIGHT
from linbench.core.errors import UsageError
from linbench.core.measurement import Status
from linbench.paper.scale import ENDINGS, X_TITLES, most_failures, x_axis, y_axis, y_limits, y_title
from linbench.paper.venue import Venue
from linbench.text.latex import Letters, plain, typeset

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

FORMS: Final = ("pdf", "svg", "pgf", "png")
METADATA: Final[dict[str, dict[str, None]]] = {  # fields that would change from day to day are omitted
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
    "png": {"Software": None},
}
MARKERS: Final = ("o", "s", "D", "^", "v", "P", "X", "p", "h", "*")
MOST_COLUMNS: Final = 3
LEAST_PANEL_EM: Final = 11
MOST_MARKS: Final = 4
MOST_SERIES: Final = 10

Facet = tuple[object, ...]
"""The values of the facets of one panel."""


@dataclass(frozen=True)
class Legend:
    """The handles of a legend, its number of columns, and the number of lines that they occupy."""

    handles: list[Line2D]
    columns: int
    lines: int


def figure_form(path: Path) -> str:
    """Return the format of a figure's file from its suffix.

    Raises:
        UsageError: The suffix is not one of `FORMS`.
    """
    form = path.suffix.removeprefix(".").lower()
    if form not in FORMS:
        raise UsageError(f"-o {path}: the name must end in one of {', '.join(f'.{name}' for name in FORMS)}")
    return form


def save_figure(chart: Chart, venue: Venue, width_in: float, path: Path) -> None:
    """Draw a chart into a file; the same chart produces the same bytes.

    Raises:
        UsageError: The chart has more series than a figure can distinguish, matplotlib is not installed, the
            file's suffix is unknown, or LaTeX is missing for .pgf.
    """
    form = figure_form(path)
    _check_series(chart)
    with _settings(venue):
        figure = draw(chart, venue, width_in, typeset if form == "pgf" else plain)
        if form != "pgf":  # .pgf supports no metadata
            figure.savefig(path, format=form, dpi=200, metadata=METADATA[form])
            return
        try:
            figure.savefig(path, format=form, dpi=200)
        except RuntimeError as error:
            raise UsageError(f"{path}: a .pgf needs pdflatex; install it, or write .pdf: {error}") from None


def draw(chart: Chart, venue: Venue, width_in: float, letters: Letters) -> Figure:
    """Return a chart as a figure: one panel per facet, log axes, intervals as bars, failures at the top edge.

    Failures and skipped rows are marks at their x, in the colour of their series, with their own legend
    entries; unsupported rows have no mark.

    Args:
        chart: The chart to draw.
        venue: The venue whose page the figure is for.
        width_in: Width of the figure, inches.
        letters: Escapes a name for the format that the figure is saved in.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    em = venue.size_pt / 72
    grid = _grid(chart, max(1, min(MOST_COLUMNS, int(width_in / (LEAST_PANEL_EM * em)))))
    rows, columns = len(grid), max(len(line) for line in grid)
    legend = _legend(chart, venue, width_in, letters)
    wide = (width_in - 4 * em) / columns
    panel = min(max(0.72 * wide, 9 * em), 20 * em)
    height = rows * (panel + (1.6 if chart.facets else 0.4) * em) + (3 + 1.55 * legend.lines) * em
    engine = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
    figure = Figure(figsize=(width_in, height), layout=engine)
    subplots = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    step = 1.5 * venue.marker_pt / 72 / panel
    room = min(most_failures(chart), MOST_MARKS) * step
    limits = y_limits(chart, room)
    facets = (facet for line in grid for facet in _padded(line, columns))
    for axes, facet in zip(subplots.flat, facets, strict=True):
        if facet is None:
            axes.set_visible(False)
            continue
        _panel(axes, chart, venue, facet, step, room)
        if facet:
            title = ", ".join(_label(name, value) for name, value in zip(chart.facets, facet, strict=True))
            axes.set_title(letters(title), pad=0.4 * venue.size_pt)
    first = subplots.flat[0]
    x_axis(first, chart, venue, wide)
    y_axis(first, chart, limits)
    for place, line in enumerate(grid):
        for column, axes in enumerate(subplots[place][: len(line)]):
            is_lowest = place + 1 == rows or len(grid[place + 1]) <= column
            axes.tick_params(labelbottom=is_lowest)
            axes.tick_params(axis="y", which="minor", left=False)
    figure.supxlabel(X_TITLES[chart.x], fontsize=venue.size_pt)
    for axes in subplots[:, 0]:
        axes.set_ylabel(y_title(chart, letters))
    figure.legend(
        handles=legend.handles,
        loc="outside upper center",
        ncols=legend.columns,
        frameon=False,
        borderaxespad=0.1,
        columnspacing=1.2,
        handletextpad=0.4,
        handlelength=1.8,
    )
    return figure


def plotted_series(chart: Chart) -> list[str]:
    """Return the series in a figure of a chart: those with a value or with the mark of a failure."""
    points = chart.points
    is_plotted = points[chart.columns[0]].notna() | points["status"].isin(list(ENDINGS))
    plotted = set(points.loc[is_plotted, chart.hue].map(str))
    return [hue for hue in chart.hues if hue in plotted]


def _check_series(chart: Chart) -> None:
    """Raise UsageError if a figure would have more series than it can distinguish."""
    names = plotted_series(chart)
    if len(names) > MOST_SERIES:
        operator = names[0].partition("/")[0]
        fewer = f"--where operator={operator}, or " if chart.hue == "implementation" else ""
        raise UsageError(
            f"a figure can distinguish {MOST_SERIES} series, but {chart.hue} has {len(names)} values here; "
            f"select some with {fewer}--where {chart.hue}={','.join(names[:2])}; "
            "`linbench table` prints them all"
        )


@contextmanager
def _settings(venue: Venue) -> Iterator[None]:
    """Draw with the settings below, regardless of the user's own.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise UsageError("figures need matplotlib; pip install 'linbench[paper]'") from None
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "pdf.fonttype": 42,  # TrueType, which venues require
                "svg.hashsalt": "linbench",
                "pgf.texsystem": "pdflatex",
                "pgf.rcfonts": False,
                "font.family": venue.font,
                "mathtext.fontset": "stix" if venue.font.startswith("STIX") else "dejavusans",
                "font.size": venue.size_pt,
                "axes.labelsize": venue.size_pt,
                "axes.titlesize": venue.size_pt,
                "legend.fontsize": venue.size_pt,
                "xtick.labelsize": venue.tick_pt,
                "ytick.labelsize": venue.tick_pt,
                "lines.linewidth": venue.line_pt,
                "lines.markersize": venue.marker_pt,
                "axes.linewidth": 0.6 * venue.line_pt,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.grid": True,
                "grid.color": "#dddddd",
                "grid.linewidth": 0.5 * venue.line_pt,
                "axes.axisbelow": True,
            }
        )
        yield


def _grid(chart: Chart, most: int) -> list[list[Facet]]:
    """Return the facets in lines of at most `most`: two facets become lines and columns if they fit."""
    if not chart.facets:
        return [[()]]
    facets = set(zip(*(chart.points[name] for name in chart.facets), strict=True))
    values = [list(dict.fromkeys(chart.points[name])) for name in chart.facets]
    if len(values) == 2 and len(values[1]) <= most and len(facets) == len(values[0]) * len(values[1]):
        return [[(row, column) for column in values[1]] for row in values[0]]
    flat = [facet for facet in product(*values) if facet in facets]
    return [flat[start : start + most] for start in range(0, len(flat), most)]


def _padded(line: list[Facet], columns: int) -> list[Facet | None]:
    return [*line, *[None] * (columns - len(line))]


def _panel(axes: Axes, chart: Chart, venue: Venue, facet: Facet, step: float, room: float) -> None:
    """Draw the rows of a facet.

    Args:
        axes: The panel to draw in.
        chart: The chart that the rows belong to.
        venue: The venue whose page the figure is for.
        facet: The values of the facets.
        step: Share of the panel's height from one mark of a failure to the next.
        room: Share of the panel's height that is reserved for these marks at the top.
    """
    from matplotlib.patches import Rectangle

    points = chart.points
    for name, value in zip(chart.facets, facet, strict=True):
        points = points[points[name] == value]
    value, low, high = chart.columns
    failed: dict[object, int] = {}
    for hue, part in points.groupby(points[chart.hue].map(str), sort=False):
        style = _style(chart, str(hue))
        # A line breaks where a row failed.
        axes.plot(part[chart.x], part[value], **style, markeredgewidth=0)
        bounded = part[part[low].notna() & part[high].notna()]
        bars = axes.errorbar(
            bounded[chart.x],
            bounded[value],
            yerr=[
                bounded[value] - bounded[low],
                (bounded[high] - bounded[value]).clip(upper=bounded[value] * 1e6),
            ],
            fmt="none",
            ecolor=style["color"],
            elinewidth=0.8 * venue.line_pt,
            capsize=0.5 * venue.marker_pt,
            capthick=0.8 * venue.line_pt,
            zorder=1.9,  # below every line and marker
        )
        for artist in (*bars.lines[1], *bars.lines[2]):
            artist.set_clip_path(Rectangle((0, 0), 1, 1 - room, transform=axes.transAxes))
        for x, status in zip(part[chart.x], part["status"], strict=True):
            if status not in ENDINGS:
                continue
            place = failed[x] = failed.get(x, -1) + 1
            axes.plot(
                [x],
                [1 - step * (place % MOST_MARKS + 0.5)],
                transform=axes.get_xaxis_transform(),
                color=style["color"],
                marker=ENDINGS[Status(status)][0],
                markersize=1.3 * venue.marker_pt,
                markeredgewidth=venue.line_pt,
                linestyle="none",
                clip_on=False,
            )
    if chart.y == "speedup":
        axes.axhline(1, color="#888888", linewidth=0.8 * venue.line_pt, zorder=0.5)


def _label(name: str, value: object) -> str:
    """Return a value of a facet or hue, with its name where the value alone is ambiguous: D = 64, fwd."""
    return f"{name} = {value}" if name in NUMBERS or name in ("seed", "options") else str(value)


def _style(chart: Chart, hue: str) -> dict[str, Any]:
    place = chart.hues.index(hue)
    dashes = ("-", (0, (1, 1.2)), (0, (4, 1.5, 1, 1.5)))
    return {
        "color": LIGHT[place % len(LIGHT)],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": dashes[place // len(LIGHT) % len(dashes)],
    }


def _legend(chart: Chart, venue: Venue, width_in: float, letters: Letters) -> Legend:
    """Return the legend with as many columns as fit."""
    from matplotlib.lines import Line2D

    failed = [status for status in ENDINGS if (chart.points["status"] == status).any()]
    handles = [
        Line2D([], [], label=letters(_label(chart.hue, hue)), markeredgewidth=0, **_style(chart, hue))
        for hue in plotted_series(chart)
    ]
    handles += [
        Line2D(
            [],
            [],
            label=ENDINGS[status][1],
            color="#444444",
            marker=ENDINGS[status][0],
            markersize=1.3 * venue.marker_pt,
            markeredgewidth=venue.line_pt,
            linestyle="none",
        )
        for status in failed
    ]
    longest = max((len(str(handle.get_label())) for handle in handles), default=1)
    entry_in = (venue.letter_em * longest + 3.4) * venue.size_pt / 72
    columns = max(1, min(len(handles), int(width_in / entry_in)))
    lines = math.ceil(len(handles) / columns)
    return Legend(handles, math.ceil(len(handles) / max(lines, 1)) or 1, lines)
