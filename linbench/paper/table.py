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
    "Bold: the best of its column and what is level with it (95% intervals that overlap; where there is no "
    "interval, the same digits). Underlined: the next, likewise."
)


def write_style(name: str) -> Callable[[Chart], str]:
    """Return what writes a table in a style.

    Raises:
        UsageError: There is no such style.
    """
    if name not in STYLES:
        raise unknown("--style", name, STYLES)
    return booktabs if name == "booktabs" else markdown


def booktabs(chart: Chart) -> str:
    r"""Return a chart as a LaTeX tabular with rules of the package booktabs, names escaped.

    A row a series, a group of rows a facet, a column a value of x. It stands in a table environment of your
    own and needs \usepackage{booktabs}.
    """
    cells, ranks = _cells(chart)
    styler = cells.style.apply(lambda _: ranks, axis=None).format(_typeset_cell)
    styler = styler.format_index(_name, axis=0).format_index(_name, axis=1)
    columns = "l" * cells.index.nlevels + "r" * len(cells.columns)
    text: str = styler.to_latex(hrules=True, column_format=columns, multirow_align="naive")
    head, midrule, body = text.partition("\\midrule\n")
    lines = body.splitlines()
    for place, (one, two) in reversed(list(enumerate(pairwise(cells.index), 1))):
        if chart.facets and one[0] != two[0]:
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
    """Return the text of each cell, and how it is set off; the best is among the rows of one facet."""
    points = chart.points
    keys = [*chart.facets, chart.hue]
    rows = list(dict.fromkeys(zip(*(points[name] for name in keys), strict=True)))
    xs = sorted(points[chart.x].unique())
    there = {
        (key, x): number
        for number, (key, x) in enumerate(
            zip(zip(*(points[name] for name in keys), strict=True), points[chart.x], strict=True)
        )
    }
    texts = [
        [_text(chart, points.iloc[there[key, x]]) if (key, x) in there else MISSING for x in xs]
        for key in rows
    ]
    marks = [[""] * len(xs) for _ in rows]
    for column, x in enumerate(xs):
        for facet in dict.fromkeys(key[:-1] for key in rows):
            members = [
                (place, points.iloc[there[key, x]], texts[place][column])
                for place, key in enumerate(rows)
                if key[:-1] == facet and (key, x) in there
            ]
            for place, mark in _ranked(chart, members):
                marks[place][column] = mark
    index = (
        pd.MultiIndex.from_tuples(rows, names=keys)
        if len(keys) > 1
        else pd.Index([key[0] for key in rows], name=chart.hue)
    )
    columns = pd.Index([format.short_count(int(x)) for x in xs], name=chart.x)
    return pd.DataFrame(texts, index, columns), pd.DataFrame(marks, index, columns)


def _ranked(chart: Chart, members: Sequence[tuple[int, pd.Series, str]]) -> list[tuple[int, str]]:
    """Return the places of the best, those level with it, and the next, each with its mark."""
    value = chart.columns[0]
    left = [member for member in members if not math.isnan(member[1][value])]
    found = []
    for mark in (BEST, SECOND):
        if len(left) < (1 if mark == SECOND else 2):
            break  # one alone is no best
        sign = 1 if chart.quantity.less_is_better else -1
        best = min(left, key=lambda member: sign * member[1][value])

        def level(member: tuple[int, pd.Series, str], best: tuple[int, pd.Series, str] = best) -> bool:
            return member[2] == best[2] or _interval(chart, member[1]).overlaps(_interval(chart, best[1]))

        found += [(member[0], mark) for member in left if level(member)]
        left = [member for member in left if not level(member)]
    return found


def _interval(chart: Chart, point: pd.Series) -> Estimate:
    """Return a value with its interval, which is the value itself where there is none."""
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
    chosen = "; ".join(f"{name} = {', '.join(values)}" for name, values in chart.where.items())
    return one_line(f"{title}, by {chart.x}" + (f" ({chosen})" if chosen else ""))


def _name(value: object) -> str:
    return typeset(str(value))


def _typeset_cell(text: str) -> str:
    """Return a value as LaTeX sets it, with its unit on the same line."""
    exponent = re.sub(r"e-(\d+)$", r"e$-$\1", text) if text[:1].isdigit() else text
    plain = exponent if exponent != text else typeset(text)
    return re.sub(r"^([\d.,]+) ", r"\1~", plain)


def _marked(text: str, mark: str) -> str:
    return f"**{text}**" if mark == BEST else f"<u>{text}</u>" if mark == SECOND else text
