"""Families: the implementations of one operator as one line, for a page on which there are several."""

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
    """What a panel has of one operator, by the fastest implementation where the operator got furthest.

    Attributes:
        operator: Its name.
        kind: What it is to softmax or to a recurrence; empty if it is not known.
        complexity: What it claims of the time in T; empty if it is not known.
        implementation: The fastest at `at`; empty where nothing of the operator was timed.
        at: The largest value of the axis at which one of them has a time, as text.
        time: Its time there, with the interval.
        exponent: p in time = c x^p over the axis, with its interval; empty where none fits.
        error: Its worst error there as a share of the tolerance.
        memory: Its memory there above the inputs.
        state: Bytes of the state that it is given or returns there; empty in a mode without one.
        failed: How many of the operator's rows in the panel failed.
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
    """Return a line for each operator of a panel, by name; none where the panel has one operator only."""
    names = sorted(panel.rows["operator"].unique())
    if len(names) < 2:
        return []
    leaders = fastest(panel)
    return [_family(panel, name, operators.get(name), leaders.get(name)) for name in names]


def fastest(panel: Panel) -> dict[str, str]:
    """Return by operator the implementation that is fastest at the largest value at which any has a time."""
    rows = panel.rows[(panel.rows["status"] == Status.OK) & panel.rows["median_s"].notna()]
    found = {}
    for name, part in rows.groupby("operator"):
        furthest = part[part[panel.axis] == part[panel.axis].max()]
        found[str(name)] = str(furthest.loc[furthest["median_s"].idxmin(), "implementation"])
    return found


def _family(panel: Panel, name: str, operator: Operator | None, leader: str | None) -> Family:
    own = panel.rows[panel.rows["operator"] == name]
    kind, complexity = (operator.kind, operator.complexity) if operator else ("", "")
    failed = int(own["status"].isin(FAILURES).sum())
    if leader is None:
        return Family(name, kind, complexity, "", "", "", "", "", "", "", failed)
    timed = own[(own["implementation"] == leader) & (own["status"] == Status.OK) & own["median_s"].notna()]
    last = timed.loc[timed[panel.axis].idxmax()]
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
