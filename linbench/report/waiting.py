"""Waiting: the share of its time that a call waits, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from linbench.analysis.occupation import occupation
from linbench.analysis.panel import Panel
from linbench.core.profile import HOST_BOUND, Profile
from linbench.text.format import count, plural


@dataclass(frozen=True)
class Waiting:
    """The sentences on a panel.

    Attributes:
        bound: Sentences on host-bound calls.
        others: Sentences on all other calls.
    """

    bound: tuple[str, ...]
    others: tuple[str, ...]


def waiting(panel: Panel, cores: int, profiles: Sequence[Profile]) -> Waiting:
    """Return sentences on the share of their time that the calls of a panel wait.

    From the rows: launch gaps on CUDA, or the number of busy cores on the CPU, at the smallest and largest
    known value of the axis. From profiles: the share of Python and the dispatcher, or of
    launch gaps.

    Args:
        panel: The panel.
        cores: The number of processor cores available to the run.
        profiles: Profiles of the run's cases.
    """
    rows = panel.rows.join(occupation(panel.rows)).sort_values(panel.axis)
    bound: list[str] = []
    others: list[str] = []
    for name, part in rows.groupby("implementation"):
        xs = [int(x) for x in part[panel.axis]]
        gaps, busy = (
            {x: float(value) for x, value in zip(xs, part[column], strict=True) if value >= 0}
            for column in ("gaps", "busy_cores")
        )
        if gaps:
            sentences = bound if max(gaps.values()) > HOST_BOUND else others
            sentences.append(_gaps(str(name), panel.axis, gaps))
        if busy:
            others.append(_busy(str(name), panel.axis, busy, cores))
    keys = {*zip(rows["implementation"], rows["case_id"], strict=True)}
    for profile in profiles:
        if profile.breakdown is None or (profile.implementation, profile.case.id) not in keys:
            continue
        share = profile.breakdown.host_share(profile.tool, profile.case.device)
        if share is not None:
            (bound if share > HOST_BOUND else others).append(_profiled(profile, share, panel.axis))
    return Waiting(tuple(bound), tuple(others))


def _gaps(name: str, axis: str, values: Mapping[int, float]) -> str:
    """Return "62% of the time of a/x at T = 128 is launch gaps, 4% at T = 4,096."."""
    (first, share), *rest = _ends(values)
    later = "".join(f", {value:.0%} at {axis} = {count(x)}" for x, value in rest)
    return f"{share:.0%} of the time of {name} at {axis} = {count(first)} is launch gaps{later}."


def _busy(name: str, axis: str, values: Mapping[int, float], cores: int) -> str:
    """Return "a/x keeps 1.0 of 2 cores busy at T = 128, 1.9 at T = 4,096."."""
    (first, busy), *rest = _ends(values)
    later = "".join(f", {value:.1f} at {axis} = {count(x)}" for x, value in rest)
    return f"{name} keeps {busy:.1f} of {plural(cores, 'core')} busy at {axis} = {count(first)}{later}."


def _ends(values: Mapping[int, float]) -> list[tuple[int, float]]:
    pairs = list(values.items())
    return [pairs[0], *pairs[1:][-1:]]


def _profiled(profile: Profile, share: float, axis: str) -> str:
    where = f"{axis} = {count(getattr(profile.case, axis))}"
    what = "launch gaps" if profile.case.device == "cuda" else "Python and the dispatcher"
    return (
        f"{share:.0%} of the time of {profile.implementation} at {where} is {what}, "
        f"under the profiler (profile {profile.id})."
    )
