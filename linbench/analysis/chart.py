"""Chart: the points that a figure or a table shows, as a table of its own."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from linbench.analysis.panel import options_text, panels
from linbench.analysis.quantity import QUANTITIES, Quantity, values
from linbench.analysis.winner import default_baseline
from linbench.core.case import DTYPES, MODES
from linbench.core.errors import UsageError, unknown

NUMBERS: Final = ("T", "B", "H", "K", "V", "D")
NAMES: Final = ("implementation", "operator", "mode", "run", "dtype", "device", "options", "seed")
COLUMNS: Final = (*NUMBERS, *NAMES)
NATURAL: Final = (*MODES, *DTYPES)


@dataclass(frozen=True, eq=False)
class Chart:
    """The points of a figure or a table.

    Attributes:
        x: The axis that values are set against.
        y: Name of the quantity.
        hue: What sets the series of a panel apart.
        facets: What sets the panels apart.
        where: What was selected, by column.
        baseline: What speed-ups are over; None for other quantities.
        points: A row a measurement: run, the facets, the hue, x, the quantity with its interval (missing
            where there is none), status and reason.
        hues: Every value of the hue that the table had before the selection, so that a series looks the
            same in every figure of a table.
    """

    x: str
    y: str
    hue: str
    facets: tuple[str, ...]
    where: Mapping[str, tuple[str, ...]]
    baseline: str | None
    points: pd.DataFrame
    hues: tuple[str, ...]

    @property
    def quantity(self) -> Quantity:
        """What is on the y axis."""
        return QUANTITIES[self.y]

    @property
    def columns(self) -> tuple[str, str, str]:
        """The columns of the value and of the ends of its interval."""
        name = self.quantity.column
        return name, f"{name}_low", f"{name}_high"


def chart(
    rows: pd.DataFrame,
    *,
    x: str = "T",
    y: str = "time",
    hue: str = "implementation",
    facets: Sequence[str] = (),
    where: Mapping[str, Sequence[str]] | None = None,
    baseline: str | None = None,
) -> Chart:
    """Return the points of a quantity against an axis.

    Args:
        rows: A table of measurements.
        x: A numeric axis: T, B, H, K, V, or D, which is K where V is the same.
        y: time, memory, error (of the worst tensor), speedup or throughput.
        hue: A column that sets series apart.
        facets: Columns that set panels apart.
        where: By column, the values to keep.
        baseline: What speed-ups are over; the implementation with the most times if not given.

    Raises:
        UsageError: A name is not known, nothing is selected, or two rows are to be one point.
    """
    for flag, name, known in (("--x", x, NUMBERS), ("--y", y, QUANTITIES), ("--hue", hue, COLUMNS)):
        if name not in known:
            raise unknown(flag, name, known)
    for name in facets:
        if name not in COLUMNS:
            raise unknown("--facet", name, COLUMNS)
    used = [x, hue, *facets]
    if repeated := next((name for name in used if used.count(name) > 1), None):
        raise UsageError(f"{repeated} is asked for twice among --x, --hue and --facet; leave one out")
    if baseline is not None and y != "speedup":
        raise UsageError(f"--baseline goes with --y speedup, not with --y {y}")
    if y == "speedup" and hue != "implementation":
        raise UsageError(f"--y speedup compares implementations: leave out --hue {hue}")
    if rows.empty:
        raise UsageError("the run has no rows: there is nothing to show")
    every = readable(rows)
    if "D" in used and (every["D"] < 0).any():
        raise UsageError("D is K and V together, and here some rows have K other than V; use K or V")
    chosen = every
    for name, kept in (where or {}).items():
        chosen = _selected(chosen, name, kept)
    _one_row_a_point(chosen, used)
    found = _baseline(chosen, baseline) if y == "speedup" else None
    points = _points(chosen, used, y, found)
    selected = {name: tuple(kept) for name, kept in (where or {}).items()}
    return Chart(x, y, hue, tuple(facets), selected, found, points, _hues(every, hue))


def readable(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with options as they are typed, and with D, which is -1 where K is not V."""
    texts = {text: options_text(json.loads(text)) or "default" for text in rows["options"].unique()}
    return rows.assign(options=rows["options"].map(texts), D=rows["K"].where(rows["K"] == rows["V"], -1))


def _selected(rows: pd.DataFrame, name: str, values: Sequence[str]) -> pd.DataFrame:
    if name not in COLUMNS:
        raise unknown("--where", name, COLUMNS)
    texts = rows[name].map(str)
    there = list(dict.fromkeys(texts))
    for value in values:
        if value not in there:
            raise UsageError(f"--where {name}={value}: no row has it; there are {name} = {', '.join(there)}")
    return rows[texts.isin(values)]


def _one_row_a_point(rows: pd.DataFrame, used: Sequence[str]) -> None:
    again = rows[rows.duplicated(list(used), keep=False)]
    if again.empty:
        return
    _, group = next(iter(again.groupby(list(used), sort=False)))
    for name in (*NAMES[2:], "K", "V", "H", "B", "T", *NAMES[:2]):
        values = [str(value) for value in group[name].unique()]
        if len(values) > 1:
            shown = "D" if name == "K" and (group["K"] == group["V"]).all() else name
            raise UsageError(
                f"several rows would be one point: {shown} is {', '.join(values)} there; "
                f"choose with --where {shown}={values[0]}, or set them apart with --facet {shown}"
            )
    raise ValueError("a case was measured twice by one implementation of one run")


def _baseline(rows: pd.DataFrame, given: str | None) -> str:
    timed = sorted(rows.loc[rows["median_s"] > 0, "implementation"].unique())
    if given is None:
        found = default_baseline(panels(rows.assign(options="{}")))
        if found is None:
            raise UsageError("nothing was timed: there is no speed-up")
        return found
    if given not in timed:
        raise unknown("--baseline with a time", given, timed)
    return given


def _points(rows: pd.DataFrame, used: Sequence[str], y: str, baseline: str | None) -> pd.DataFrame:
    x, hue, *facets = used
    column = QUANTITIES[y].column
    found = pd.DataFrame(values(rows, y, (*facets, x), baseline), index=rows.index)
    found.columns = pd.Index([column, f"{column}_low", f"{column}_high"])
    kept = [name for name in (*facets, hue, x) if name != "run"]
    beside = rows[["status", "reason", "flags"]]
    points = pd.concat([rows[["run", *kept]], found, beside], axis=1)
    return points.sort_values(
        [*facets, hue, x], kind="stable", key=lambda column: column.map(_rank)
    ).reset_index(drop=True)


def _hues(rows: pd.DataFrame, hue: str) -> tuple[str, ...]:
    """Return the values of the hue; those never timed come last, after the clearest colours."""
    timed = set(rows.loc[rows["median_s"].notna(), hue])
    return tuple(
        str(value) for value in sorted(rows[hue].unique(), key=lambda one: (one not in timed, _rank(one)))
    )


def _rank(value: str | int) -> str | int:
    """Return what a value of a column is sorted by: modes and types have an order of their own."""
    return f"{NATURAL.index(value):02}" if value in NATURAL else value
