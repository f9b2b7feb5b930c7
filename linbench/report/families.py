"""Families: one line per operator, for a page with several operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from linbench.analysis.panel import Panel
from linbench.analysis.scaling import scaling
from linbench.core.measurement import FAILURES, Status
from linbench.core.operator import Operator
from linbench.text import format


@dataclass(frozen=True)
class Family:
    """One operator of a panel, represented by its fastest implementation at the largest timed value.

    Attributes:
        operator: The name of the operator.
        kind: The kind of the operator, such as exact recurrence; empty if unknown.
        complexity: The operator's claimed complexity in T; empty if unknown.
        implementation: The fastest implementation at `at`; empty if no implementation was timed.
        at: The largest value of the axis at which any implementation has a time, as text.
        time: The time of `implementation` at `at`, with its interval.
        exponent: p in time = c x^p over the axis, with its interval; empty if no power law fits.
        error: The worst error at `at`, as a share of the tolerance.
        memory: The memory above the inputs at `at`.
        state: The size of the state that the call reads or returns at `at`; empty in a mode without one.
        failed: The number of the operator's rows in the panel that failed.
    """

    operator: str
    kind: str
    complexity: str
    implementation: str
    at: str
    time: str
    exponent: str
    error: str
    memory: str
    state: str
    failed: int


def families(panel: Panel, operators: Mapping[str, Operator]) -> list[Family]:
    """Return one line per operator of a panel, by name; none if the panel has only one operator."""
    names = sorted(panel.rows["operator"].unique())
    if len(names) < 2:
        return []
    leaders = fastest(panel)
    return [_family(panel, name, operators.get(name), leaders.get(name)) for name in names]


def fastest(panel: Panel) -> dict[str, str]:
    """Return each operator's fastest implementation at the largest value at which any of them has a time."""
    rows = panel.rows[(panel.rows["status"] == Status.OK) & panel.rows["median_s"].notna()]
    leaders = {}
    for name, part in rows.groupby("operator"):
        longest = part[part[panel.axis] == part[panel.axis].max()]
        leaders[str(name)] = str(longest.loc[longest["median_s"].idxmin(), "implementation"])
    return leaders


def _family(panel: Panel, name: str, operator: Operator | None, leader: str | None) -> Family:
    rows = panel.rows[panel.rows["operator"] == name]
    kind, complexity = (operator.kind, operator.complexity) if operator else ("", "")
    failed = int(rows["status"].isin(FAILURES).sum())
    if leader is None:
        return Family(name, kind, complexity, "", "", "", "", "", "", "", failed)
    timed_rows = rows[
        (rows["implementation"] == leader) & (rows["status"] == Status.OK) & rows["median_s"].notna()
    ]
    last = timed_rows.loc[timed_rows[panel.axis].idxmax()]
    fit = scaling(leader, panel.series.get(leader, {}))
    return Family(
        operator=name,
        kind=kind,
        complexity=complexity,
        implementation=leader,
        at=format.count(int(last[panel.axis])),
        time=format.seconds_interval(last["median_s"], last["ci_low_s"], last["ci_high_s"]),
        exponent=f"{fit.exponent:.2f} [{fit.low:.2f}, {fit.high:.2f}]" if fit else "",
        error=format.digits(last["rel_l2"] / last["tolerance"]) if last["tolerance"] > 0 else "",
        memory=_size(last["extra_bytes"]),
        state=_size(last["state_bytes"]),
        failed=failed,
    )


def _size(value: int) -> str:
    return "" if pd.isna(value) else format.size(int(value))
