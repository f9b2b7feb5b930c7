"""History: the time of a case relative to the calibration op over runs, and its change points."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from linbench.core.case import Case
from linbench.statistics.change_points import Change, change_points
from linbench.store.store import HistoryPoint


@dataclass(frozen=True)
class Series:
    """Times of one implementation at one case, on one machine and by one timer, in the order of the runs.

    Attributes:
        implementation: Full name.
        case: The case.
        machine: Processor and its cores, or GPU and driver.
        timer: Name of the timer.
        points: Result of each run.
        changes: Change points of the ratio of the case's time to the calibration op's.
    """

    implementation: str
    case: Case
    machine: str
    timer: str
    points: tuple[HistoryPoint, ...]
    changes: tuple[Change, ...]

    @property
    def values(self) -> list[float]:
        """The log-ratio of the case's time to the calibration op's in each run."""
        return [math.log(point.median_s / point.calibration_s) for point in self.points]

    def until(self, run: str) -> Series | None:
        """Return the series up to and including a run; None if the run is not in it."""
        last = next((index for index, point in enumerate(self.points) if point.run == run), None)
        if last is None:
            return None
        return replace(
            self,
            points=self.points[: last + 1],
            changes=tuple(change for change in self.changes if change.index <= last),
        )

    def commits(self, change: Change) -> tuple[str, str] | None:
        """Return the commits of the last run before a change and the first after it; None if unknown."""
        before, after = (commit(self.points[index]) for index in (change.index - 1, change.index))
        return (before, after) if before and after else None


def series_of(points: Iterable[HistoryPoint]) -> list[Series]:
    """Return one series per implementation, case, machine and timer."""
    groups: dict[tuple[str, str, str, str], list[HistoryPoint]] = {}
    for point in points:
        key = (
            point.implementation,
            point.case.id,
            point.environment.machine.on(point.case.device),
            point.timer,
        )
        groups.setdefault(key, []).append(point)
    return [
        Series(
            *(name, group[0].case, machine, timer, tuple(group)),
            tuple(change_points([math.log(point.median_s / point.calibration_s) for point in group])),
        )
        for (name, _, machine, timer), group in groups.items()
    ]


def commit(point: HistoryPoint) -> str | None:
    """Return the commit of the code that a run measured; None if unknown or with uncommitted changes."""
    code = point.environment.code_of(point.implementation)
    return None if code is None or code.dirty else code.commit


def library_changes(before: HistoryPoint, after: HistoryPoint) -> list[str]:
    """Return which libraries changed between two runs, as in "torch 2.6.0 -> 2.7.0"."""
    old, new = (point.environment.libraries for point in (before, after))
    return [
        f"{name} {old.get(name, 'none')} -> {new.get(name, 'none')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
