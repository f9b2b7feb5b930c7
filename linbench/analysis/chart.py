"""Chart: the points of a figure or of a printed table, as a data frame."""

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
        x: The column on the x axis.
        y: Name of the quantity on the y axis.
        hue: The column whose values are the series of a panel.
        facets: The columns whose values divide the points into panels.
        where: The selected values, by column.
        baseline: The implementation that speed-ups are relative to; None for other quantities.
        points: One row per measurement: run, the facets, the hue, x, the quantity with its interval (missing
            where there is none), status and reason.
        hues: Every value of the hue in the table before the selection, so that a series looks the same in
            every figure of a table.
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
        """The quantity on the y axis."""
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
        x: A numeric axis: T, B, H, K, V, or D, which is K if V equals K.
        y: time, memory, error (of the worst tensor), speedup or throughput.
        hue: The column whose values are the series.
        facets: The columns whose values are the panels.
        where: The values to select, by column.
        baseline: The implementation that speed-ups are relative to; by default the one with the most times.

    Raises:
        UsageError: A name is unknown, nothing is selected, or two rows would be the same point.
    """
    for flag, name, names in (("--x", x, NUMBERS), ("--y", y, QUANTITIES), ("--hue", hue, COLUMNS)):
        if name not in names:
            raise unknown(flag, name, names)
    for name in facets:
        if name not in COLUMNS:
            raise unknown("--facet", name, COLUMNS)
    keys = [x, hue, *facets]
    if repeated := next((name for name in keys if keys.count(name) > 1), None):
        raise UsageError(f"{repeated} is used twice among --x, --hue and --facet; leave one out")
    if baseline is not None and y != "speedup":
        raise UsageError(f"--baseline goes with --y speedup, not with --y {y}")
    if y == "speedup" and hue != "implementation":
        raise UsageError(f"--y speedup compares implementations: leave out --hue {hue}")
    if rows.empty:
        raise UsageError("the run has no rows: there is nothing to show")
    readable_rows = readable(rows)
    if "D" in keys and (readable_rows["D"] < 0).any():
        raise UsageError("D stands for K = V, but some of these rows have K different from V; use K or V")
    selection = readable_rows
    for name, texts in (where or {}).items():
        selection = _select(selection, name, texts)
    _check_one_row_per_point(selection, keys)
    reference = _baseline(selection, baseline) if y == "speedup" else None
    points = _points(selection, keys, y, reference)
    filters = {name: tuple(texts) for name, texts in (where or {}).items()}
    return Chart(x, y, hue, tuple(facets), filters, reference, points, _hues(readable_rows, hue))


def readable(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with options in command-line form, and with D, which is -1 where K differs from V."""
    texts = {text: options_text(json.loads(text)) or "default" for text in rows["options"].unique()}
    return rows.assign(options=rows["options"].map(texts), D=rows["K"].where(rows["K"] == rows["V"], -1))


def _select(rows: pd.DataFrame, name: str, values: Sequence[str]) -> pd.DataFrame:
    if name not in COLUMNS:
        raise unknown("--where", name, COLUMNS)
    texts = rows[name].map(str)
    row_texts = list(dict.fromkeys(texts))
    for value in values:
        if value not in row_texts:
            alternatives = f"{name} = {', '.join(row_texts)}"
            raise UsageError(f"--where {name}={value}: no row has this value; the rows have {alternatives}")
    return rows[texts.isin(values)]


def _check_one_row_per_point(rows: pd.DataFrame, keys: Sequence[str]) -> None:
    duplicates = rows[rows.duplicated(list(keys), keep=False)]
    if duplicates.empty:
        return
    _, group = next(iter(duplicates.groupby(list(keys), sort=False)))
    for name in (*NAMES[2:], "K", "V", "H", "B", "T", *NAMES[:2]):
        values = [str(value) for value in group[name].unique()]
        if len(values) > 1:
            label = "D" if name == "K" and (group["K"] == group["V"]).all() else name
            raise UsageError(
                f"several rows would be the same point: {label} is {', '.join(values)} there; "
                f"choose with --where {label}={values[0]}, or separate them with --facet {label}"
            )
    raise ValueError("a case was measured twice by one implementation of one run")


def _baseline(rows: pd.DataFrame, name: str | None) -> str:
    timed_names = sorted(rows.loc[rows["median_s"] > 0, "implementation"].unique())
    if name is None:
        default = default_baseline(panels(rows.assign(options="{}")))
        if default is None:
            raise UsageError("nothing was timed, so there is no speed-up")
        return default
    if name not in timed_names:
        raise unknown("--baseline with a time", name, timed_names)
    return name


def _points(rows: pd.DataFrame, keys: Sequence[str], y: str, baseline: str | None) -> pd.DataFrame:
    x, hue, *facets = keys
    column = QUANTITIES[y].column
    quantity = pd.DataFrame(values(rows, y, (*facets, x), baseline), index=rows.index)
    quantity.columns = pd.Index([column, f"{column}_low", f"{column}_high"])
    names = [name for name in (*facets, hue, x) if name != "run"]
    outcome = rows[["status", "reason", "flags"]]
    points = pd.concat([rows[["run", *names]], quantity, outcome], axis=1)
    return points.sort_values(
        [*facets, hue, x], kind="stable", key=lambda column: column.map(_rank)
    ).reset_index(drop=True)


def _hues(rows: pd.DataFrame, hue: str) -> tuple[str, ...]:
    """Return the values of the hue; untimed ones come last and get the less distinct colours."""
    timed_values = set(rows.loc[rows["median_s"].notna(), hue])
    return tuple(
        str(value)
        for value in sorted(rows[hue].unique(), key=lambda value: (value not in timed_values, _rank(value)))
    )


def _rank(value: str | int) -> str | int:
    """Return the sort key of a value of a column: modes and dtypes have a fixed order."""
    return f"{NATURAL.index(value):02}" if value in NATURAL else value
