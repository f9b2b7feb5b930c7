"""History: how long a case took against the calibration op, over runs, and where that changed for good."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from linbench.core.case import Case
from linbench.statistics.change_points import Change, change_points
from linbench.store.store import HistoryPoint


@dataclass(frozen=True)
class Series:
    """What runs found of one implementation at one case, on one machine and by one timer, in their order.

    Attributes:
        implementation: Full name.
        case: Where.
        machine: Processor and its cores, or GPU and driver.
        timer: What took the times.
        points: What each run found.
        changes: Where the time over the calibration op's changed for good.
    """

    implementation: str
    case: Case
    machine: str
    timer: str
    points: tuple[HistoryPoint, ...]
    changes: tuple[Change, ...]

    @property
    def values(self) -> list[float]:
        """Return log(case / calibration op) of each run."""
        return [math.log(point.median_s / point.calibration_s) for point in self.points]

    def until(self, run: str) -> Series | None:
        """Return the series as it was when a run had been made; None if the run is not in it."""
        place = next((number for number, point in enumerate(self.points) if point.run == run), None)
        if place is None:
            return None
        return replace(
            self,
            points=self.points[: place + 1],
            changes=tuple(change for change in self.changes if change.index <= place),
        )

    def commits(self, change: Change) -> tuple[str, str] | None:
        """Return the commits of the last run before a change and of the first after; None if not known."""
        before, after = (commit(self.points[index]) for index in (change.index - 1, change.index))
        return (before, after) if before and after else None


def series_of(points: Iterable[HistoryPoint]) -> list[Series]:
    """Return the series that runs make: one an implementation, case, machine and timer, never mixed."""
    found: dict[tuple[str, str, str, str], list[HistoryPoint]] = {}
    for point in points:
        key = (
            point.implementation,
            point.case.id,
            point.environment.machine.on(point.case.device),
            point.timer,
        )
        found.setdefault(key, []).append(point)
    return [
        Series(
            *(name, group[0].case, where, timer, tuple(group)),
            tuple(change_points([math.log(point.median_s / point.calibration_s) for point in group])),
        )
        for (name, _, where, timer), group in found.items()
    ]


def commit(point: HistoryPoint) -> str | None:
    """Return the commit of the code that a run measured; None if it is at none, or has changes beside it."""
    code = point.environment.code_of(point.implementation)
    return None if code is None or code.dirty else code.commit


def other_changes(before: HistoryPoint, after: HistoryPoint) -> list[str]:
    """Return which libraries changed between two runs, as in "torch 2.6.0 -> 2.7.0"."""
    ours, theirs = (point.environment.libraries for point in (before, after))
    return [
        f"{name} {ours.get(name, 'none')} -> {theirs.get(name, 'none')}"
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    ]
