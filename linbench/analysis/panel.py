"""Panel: rows of a table of measurements that differ only in the implementation and in one axis."""

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
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
"""Times in seconds, by value of an axis."""


@dataclass(frozen=True, eq=False)
class Panel:
    """Rows that differ only in the implementation and in one axis.

    Attributes:
        axis: The axis that varies: T, B, K (with V) or H.
        settings: The settings that all rows share, as text, by name.
        rows: The rows, including failures, with their index in the table.
    """

    axis: str
    settings: Mapping[str, str]
    rows: pd.DataFrame

    @cached_property
    def xs(self) -> list[int]:
        """The values of the axis, ascending."""
        return [int(x) for x in sorted(self.rows[self.axis].unique())]

    @cached_property
    def series(self) -> dict[str, dict[int, Estimate]]:
        """Times by implementation and value of the axis; a time of zero has no logarithm and is left out."""
        times: dict[str, dict[int, Estimate]] = defaultdict(dict)
        timed_rows = self.rows[(self.rows["status"] == Status.OK) & (self.rows["median_s"] > 0)]
        columns = ("implementation", self.axis, "median_s", "ci_low_s", "ci_high_s", "processes")
        for name, x, median, low, high, processes in zip(
            *(timed_rows[column] for column in columns), strict=True
        ):
            times[name][int(x)] = Estimate.over_processes(
                float(median), float(low), float(high), int(processes)
            )
        return dict(times)

    @cached_property
    def labels(self) -> dict[tuple[str, int], Hashable]:
        """The index of each row in the table, by implementation and value of the axis."""
        names, xs = self.rows["implementation"], self.rows[self.axis]
        return {(name, int(x)): label for label, name, x in zip(self.rows.index, names, xs, strict=True)}


def varying_axis(rows: pd.DataFrame) -> str:
    """Return T where T varies, otherwise the axis of B, K and H that varies most, otherwise T."""
    counts = {axis: rows[axis].nunique() for axis in AXES}
    if counts["T"] > 1:
        return "T"
    most = max(counts, key=lambda axis: counts[axis])
    return most if counts[most] > 1 else "T"


def option_text(name: str, value: Scalar) -> str:
    """Return an option in command-line form: feature_map=relu, normalise=false."""
    return f"{name}={str(value).lower() if isinstance(value, bool) else value}"


def options_text(options: Mapping[str, Scalar]) -> str:
    """Return the options of a case as one line: feature_map=relu normalise=false."""
    return " ".join(option_text(name, value) for name, value in sorted(options.items()))


def panels(rows: pd.DataFrame) -> tuple[Panel, ...]:
    """Return the rows in panels, in the order in which their settings first appear.

    An operator that was measured with a single set of options is in the panel of every set, so that it can be
    compared with operators that were measured with several. If B is a function of T (a constant number of
    tokens), or V of K, it follows the axis and does not divide the rows. Runs that measured the same cases
    are in separate panels.
    """
    if rows.empty:
        return ()
    axis = varying_axis(rows)
    texts = {text: options_text(json.loads(text)) for text in rows["options"].unique()}
    options = rows["options"].map(texts)
    with_several_options = {name for name, part in options.groupby(rows["operator"]) if part.nunique() > 1}
    option_sets = sorted(set(options[rows["operator"].isin(with_several_options)])) or [""]
    has_repeats = bool(rows.duplicated(["implementation", "case_id"]).any())

    fixed = _settings(rows, axis, has_repeats)
    keys = list(zip(*(fixed[name] for name in fixed), strict=True))
    groups: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for label, key, operator, text in zip(rows.index, keys, rows["operator"], options, strict=True):
        for choice in [text] if operator in with_several_options else option_sets:
            groups[*key, choice].append(label)

    results = []
    for key, members in groups.items():
        settings = dict(zip((*fixed, "options"), key, strict=True))
        settings = {name: settings[name] for name in (*_before_options(settings), "options", "seed")}
        results += _split_by_follower(axis, settings, rows.loc[members])
    return tuple(results)


def tabulate(rows: pd.DataFrame, find: Callable[[Panel], Iterable[Any]]) -> pd.DataFrame:
    """Return the results of a function on each panel of a table as a frame: the settings, then the result.

    `tabulate(frame, crossovers)` has one row per crossover.

    Args:
        rows: The table.
        find: A function from a panel to dataclasses, such as `crossovers`, `scalings` or `capacities`.
    """
    return pd.DataFrame(
        [
            {**panel.settings, "axis": panel.axis, **asdict(result)}
            for panel in panels(rows)
            for result in find(panel)
        ]
    )


def _settings(rows: pd.DataFrame, axis: str, has_repeats: bool) -> dict[str, list[str]]:
    """Return the fixed settings of each row, by column; the axis's follower is blank, to be filled in."""
    key_and_value = [str(k) if k == v else f"{k}/{v}" for k, v in zip(rows["K"], rows["V"], strict=True)]
    blank = [""] * len(rows)
    columns = {"run": list(rows["run"])} if has_repeats else {}
    columns |= {name: list(rows[name]) for name in ("mode", "dtype", "device")}
    columns |= {name: list(map(str, rows[name])) for name in ("B", "T", "H")}
    columns |= {"V": blank} if axis == "K" else {"K/V": key_and_value}
    columns |= {"B": blank} if axis == "T" else {}
    columns.pop(axis, None)
    return columns | {"seed": list(map(str, rows["seed"]))}


def _before_options(settings: Mapping[str, str]) -> list[str]:
    return [name for name in settings if name not in ("options", "seed")]


def _split_by_follower(axis: str, settings: dict[str, str], members: pd.DataFrame) -> list[Panel]:
    """Return the rows of one group as one panel, or as one panel per value of the axis's follower."""
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
