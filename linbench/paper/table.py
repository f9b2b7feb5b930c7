"""Table: a chart as a table for a paper, the best of each column in bold and the second underlined."""

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import pandas as pd

from linbench.analysis import Estimate
from linbench.analysis.chart import Chart
from linbench.core.errors import unknown
from linbench.core.measurement import Status
from linbench.text import format
from linbench.text.latex import one_line, typeset
from linbench.text.markdown import letters

STYLES: Final = ("booktabs", "markdown")
MISSING: Final = "\u2013"
BEST, SECOND = "textbf:--rwrap;", "underline:--rwrap;"
NOTE: Final = (
    "Bold: the best value of its column and the values that tie with it (overlapping 95% intervals, or equal "
    "digits where there is no interval). Underlined: the second best, by the same rule."
)


def write_style(name: str) -> Callable[[Chart], str]:
    """Return the function that writes a table in a style.

    Raises:
        UsageError: The style is unknown.
    """
    if name not in STYLES:
        raise unknown("--style", name, STYLES)
    return booktabs if name == "booktabs" else markdown


def booktabs(chart: Chart) -> str:
    r"""Return a chart as a LaTeX tabular with rules of the package booktabs, names escaped.

    One row per series, one group of rows per facet, one column per value of x. Include it in a table
    environment of your own; it needs \usepackage{booktabs}.
    """
    cells, ranks = _cells(chart)
    styler = cells.style.apply(lambda _: ranks, axis=None).format(_typeset_cell)
    styler = styler.format_index(_name, axis=0).format_index(_name, axis=1)
    columns = "l" * cells.index.nlevels + "r" * len(cells.columns)
    text: str = styler.to_latex(hrules=True, column_format=columns, multirow_align="naive")
    head, midrule, body = text.partition("\\midrule\n")
    lines = body.splitlines()
    for place, (upper, lower) in reversed(list(enumerate(pairwise(cells.index), 1))):
        if chart.facets and upper[0] != lower[0]:
            lines.insert(place, "\\addlinespace")
    return f"% {_title(chart)}.\n% {NOTE}\n" + head + midrule + "\n".join(lines) + "\n"


def markdown(chart: Chart) -> str:
    """Return a chart as a Markdown table, names escaped."""
    cells, ranks = _cells(chart)
    head = [*map(str, cells.index.names), *(f"{chart.x} = {column}" for column in cells.columns)]
    alignment = ["---"] * cells.index.nlevels + ["---:"] * len(cells.columns)
    lines = [head, alignment]
    for key, texts, marks in zip(cells.index, cells.to_numpy(), ranks.to_numpy(), strict=True):
        names = [letters(str(name)) for name in (key if isinstance(key, tuple) else (key,))]
        lines.append([*names, *(_marked(text, mark) for text, mark in zip(texts, marks, strict=True))])
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{_title(chart)}.\n\n{body}\n\n{NOTE}\n"


def _cells(chart: Chart) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the text and the mark of each cell; the best is filters among the rows of one facet."""
    points = chart.points
    keys = [*chart.facets, chart.hue]
    rows = list(dict.fromkeys(zip(*(points[name] for name in keys), strict=True)))
    xs = sorted(points[chart.x].unique())
    numbers = {
        (key, x): number
        for number, (key, x) in enumerate(
            zip(zip(*(points[name] for name in keys), strict=True), points[chart.x], strict=True)
        )
    }
    texts = [
        [_text(chart, points.iloc[numbers[key, x]]) if (key, x) in numbers else MISSING for x in xs]
        for key in rows
    ]
    marks = [[""] * len(xs) for _ in rows]
    for column, x in enumerate(xs):
        for facet in dict.fromkeys(key[:-1] for key in rows):
            members = [
                (place, points.iloc[numbers[key, x]], texts[place][column])
                for place, key in enumerate(rows)
                if key[:-1] == facet and (key, x) in numbers
            ]
            for place, mark in _rank(chart, members):
                marks[place][column] = mark
    index = (
        pd.MultiIndex.from_tuples(rows, names=keys)
        if len(keys) > 1
        else pd.Index([key[0] for key in rows], name=chart.hue)
    )
    columns = pd.Index([format.short_count(int(x)) for x in xs], name=chart.x)
    return pd.DataFrame(texts, index, columns), pd.DataFrame(marks, index, columns)


def _rank(chart: Chart, members: Sequence[tuple[int, pd.Series, str]]) -> list[tuple[int, str]]:
    """Return the places of the best value, its ties and the second best, each with its mark."""
    value = chart.columns[0]
    rest = [member for member in members if not math.isnan(member[1][value])]
    marks = []
    for mark in (BEST, SECOND):
        if len(rest) < (1 if mark == SECOND else 2):
            break  # a single value is not marked as the best
        sign = 1 if chart.quantity.less_is_better else -1
        best = min(rest, key=lambda member: sign * member[1][value])

        def ties(member: tuple[int, pd.Series, str], best: tuple[int, pd.Series, str] = best) -> bool:
            return member[2] == best[2] or _interval(chart, member[1]).overlaps(_interval(chart, best[1]))

        marks += [(member[0], mark) for member in rest if ties(member)]
        rest = [member for member in rest if not ties(member)]
    return marks


def _interval(chart: Chart, point: pd.Series) -> Estimate:
    """Return a value with its interval; without one, both ends are the value itself."""
    value, low, high = (float(point[name]) for name in chart.columns)
    return Estimate(value, value, value) if math.isnan(low) else Estimate(value, low, high)


def _text(chart: Chart, point: pd.Series) -> str:
    if point["status"] != Status.OK:
        return "OOM" if point["status"] == Status.OOM else str(point["status"]).replace("_", " ")
    value = float(point[chart.columns[0]])
    if math.isnan(value):
        return MISSING
    if chart.y == "time":
        return format.seconds(value)
    if chart.y == "memory":
        return format.size(value)
    if chart.y == "throughput":
        return format.rate(value)
    return format.ratio(value) if chart.y == "speedup" else format.digits(value)


def _title(chart: Chart) -> str:
    title = chart.quantity.title[0].upper() + chart.quantity.title[1:]
    title += f" over {chart.baseline}" if chart.baseline else ""
    title += ", tokens/s" if chart.y == "throughput" else ""
    filters = "; ".join(f"{name} = {', '.join(values)}" for name, values in chart.where.items())
    return one_line(f"{title}, by {chart.x}" + (f" ({filters})" if filters else ""))


def _name(value: object) -> str:
    return typeset(str(value))


def _typeset_cell(text: str) -> str:
    """Return a value as LaTeX text, with its unit on the same line."""
    exponent = re.sub(r"e-(\d+)$", r"e$-$\1", text) if text[:1].isdigit() else text
    plain = exponent if exponent != text else typeset(text)
    return re.sub(r"^([\d.,]+) ", r"\1~", plain)


def _marked(text: str, mark: str) -> str:
    return f"**{text}**" if mark == BEST else f"<u>{text}</u>" if mark == SECOND else text
