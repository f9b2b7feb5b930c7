"""Panel: rows of a table of measurements that differ in the implementation and in one axis only."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final

import pandas as pd

from linbench.core.case import Scalar
from linbench.core.measurement import Status
from linbench.statistics.estimate import Estimate

FOLLOWERS: Final = {"T": "B", "K": "V"}
AXES: Final = ("T", "B", "K", "H")

Series = Mapping[int, Estimate]
"""Times by value of an axis, seconds."""


@dataclass(frozen=True, eq=False)
class Panel:
    """Rows that differ in the implementation and in one axis only.

    Attributes:
        axis: The axis that varies: T, B, K (with V) or H.
        settings: What is the same in every row, as text, by name.
        rows: The rows, failures included, with the index that they have in the table.
    """

    axis: str
    settings: Mapping[str, str]
    rows: pd.DataFrame

    @cached_property
    def xs(self) -> list[int]:
        """The values of the axis that any row has, ascending."""
        return [int(x) for x in sorted(self.rows[self.axis].unique())]

    @cached_property
    def series(self) -> dict[str, dict[int, Estimate]]:
        """Times by implementation and value of the axis; one of zero has no logarithm and is left out."""
        found: dict[str, dict[int, Estimate]] = defaultdict(dict)
        timed = self.rows[(self.rows["status"] == Status.OK) & (self.rows["median_s"] > 0)]
        columns = ("implementation", self.axis, "median_s", "ci_low_s", "ci_high_s")
        for name, x, median, low, high in zip(*(timed[column] for column in columns), strict=True):
            found[name][int(x)] = Estimate(float(median), float(low), float(high))
        return dict(found)


def varying_axis(rows: pd.DataFrame) -> str:
    """Return T where T varies, otherwise the axis of B, K and H that varies most, otherwise T."""
    seen = {axis: rows[axis].nunique() for axis in AXES}
    if seen["T"] > 1:
        return "T"
    most = max(seen, key=lambda axis: seen[axis])
    return most if seen[most] > 1 else "T"


def option_text(name: str, value: Scalar) -> str:
    """Return an option as one types it: feature_map=relu, normalise=false."""
    return f"{name}={str(value).lower() if isinstance(value, bool) else value}"


def options_text(options: Mapping[str, Scalar]) -> str:
    """Return the options of a case as one line: feature_map=relu normalise=false."""
    return " ".join(option_text(name, value) for name, value in sorted(options.items()))


def panels(rows: pd.DataFrame) -> tuple[Panel, ...]:
    """Return the rows in panels, in the order in which their settings first appear.

    An operator that was measured with one set of options only is in the panel of every set, so that it
    can be compared with one that was measured with several. Where B was chosen by T (a constant number
    of tokens), or V by K, it follows the axis and divides nothing. Runs that measured the same thing are
    in panels apart.
    """
    if rows.empty:
        return ()
    axis = varying_axis(rows)
    texts = {text: options_text(json.loads(text)) for text in rows["options"].unique()}
    options = rows["options"].map(texts)
    several = {name for name, part in options.groupby(rows["operator"]) if part.nunique() > 1}
    every = sorted(set(options[rows["operator"].isin(several)])) or [""]
    again = bool(rows.duplicated(["implementation", "case_id"]).any())

    fixed = _settings(rows, axis, again)
    keys = list(zip(*(fixed[name] for name in fixed), strict=True))
    groups: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for label, key, operator, text in zip(rows.index, keys, rows["operator"], options, strict=True):
        for choice in [text] if operator in several else every:
            groups[*key, choice].append(label)

    found = []
    for key, members in groups.items():
        settings = dict(zip((*fixed, "options"), key, strict=True))
        settings = {name: settings[name] for name in (*_before_options(settings), "options", "seed")}
        found += _followed(axis, settings, rows.loc[members])
    return tuple(found)


def tabulate(rows: pd.DataFrame, find: Callable[[Panel], Iterable[Any]]) -> pd.DataFrame:
    """Return what a function finds in each panel of a table as a frame: the settings, then what was found.

    `tabulate(frame, crossovers)` has a row a crossover.

    Args:
        rows: The table.
        find: A function from a panel to dataclasses, as `crossovers`, `scalings` and `capacities` are.
    """
    return pd.DataFrame(
        [
            {**panel.settings, "axis": panel.axis, **asdict(one)}
            for panel in panels(rows)
            for one in find(panel)
        ]
    )


def _settings(rows: pd.DataFrame, axis: str, again: bool) -> dict[str, list[str]]:
    """Return what a panel holds fixed, by column; the follower of the axis is left blank, to be filled in."""
    same = [str(k) if k == v else f"{k}/{v}" for k, v in zip(rows["K"], rows["V"], strict=True)]
    blank = [""] * len(rows)
    columns = {"run": list(rows["run"])} if again else {}
    columns |= {name: list(rows[name]) for name in ("mode", "dtype", "device")}
    columns |= {name: list(map(str, rows[name])) for name in ("B", "T", "H")}
    columns |= {"V": blank} if axis == "K" else {"K/V": same}
    columns |= {"B": blank} if axis == "T" else {}
    columns.pop(axis, None)
    return columns | {"seed": list(map(str, rows["seed"]))}


def _before_options(settings: Mapping[str, str]) -> list[str]:
    return [name for name in settings if name not in ("options", "seed")]


def _followed(axis: str, settings: dict[str, str], members: pd.DataFrame) -> list[Panel]:
    """Return the rows of one group as one panel, or as one a value of what might follow the axis."""
    follower = FOLLOWERS.get(axis)
    if follower is None:
        return [Panel(axis, settings, members)]
    per_x = members.groupby(axis)[follower].nunique()
    if (per_x == 1).all() and members[follower].nunique() > 1:
        return [Panel(axis, settings | {follower: f"follows {axis}"}, members)]
    return [
        Panel(axis, settings | {follower: str(value)}, part)
        for value, part in members.groupby(follower, sort=False)
    ]
