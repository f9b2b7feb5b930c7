"""Waiting: how much of its time a call worked, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from linbench.analysis.occupation import occupation
from linbench.analysis.panel import Panel
from linbench.core.profile import HOST_BOUND, Profile
from linbench.text.format import count, plural


@dataclass(frozen=True)
class Waiting:
    """What there is to say of a panel.

    Attributes:
        bound: On calls that wait for the host.
        others: On all others.
    """

    bound: tuple[str, ...]
    others: tuple[str, ...]


def waiting(panel: Panel, cores: int, profiles: Sequence[Profile]) -> Waiting:
    """Return what part of their time the calls of a panel waited, a sentence each.

    By the rows: launch gaps on CUDA, and how many cores were busy on the CPU, at the least and at the
    greatest value of the axis at which it is known. By profiles: the share of Python and the dispatcher, or
    of gaps.

    Args:
        panel: The panel.
        cores: Processors that the run might use.
        profiles: Of cases of the run.
    """
    rows = panel.rows.join(occupation(panel.rows)).sort_values(panel.axis)
    bound: list[str] = []
    others: list[str] = []
    for name, own in rows.groupby("implementation"):
        xs = [int(x) for x in own[panel.axis]]
        gaps, busy = (
            {x: float(value) for x, value in zip(xs, own[column], strict=True) if value >= 0}
            for column in ("gaps", "busy_cores")
        )
        if gaps:
            place = bound if max(gaps.values()) > HOST_BOUND else others
            place.append(_gaps(str(name), panel.axis, gaps))
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


def _gaps(name: str, axis: str, found: Mapping[int, float]) -> str:
    """Return "62% of the time of a/x at T = 128 is launch gaps, 4% at T = 4,096."."""
    (first, share), *rest = _ends(found)
    later = "".join(f", {value:.0%} at {axis} = {count(x)}" for x, value in rest)
    return f"{share:.0%} of the time of {name} at {axis} = {count(first)} is launch gaps{later}."


def _busy(name: str, axis: str, found: Mapping[int, float], cores: int) -> str:
    """Return "a/x keeps 1.0 of 2 cores busy at T = 128, 1.9 at T = 4,096."."""
    (first, busy), *rest = _ends(found)
    later = "".join(f", {value:.1f} at {axis} = {count(x)}" for x, value in rest)
    return f"{name} keeps {busy:.1f} of {plural(cores, 'core')} busy at {axis} = {count(first)}{later}."


def _ends(found: Mapping[int, float]) -> list[tuple[int, float]]:
    pairs = list(found.items())
    return [pairs[0], *pairs[1:][-1:]]


def _profiled(profile: Profile, share: float, axis: str) -> str:
    where = f"{axis} = {count(getattr(profile.case, axis))}"
    what = "launch gaps" if profile.case.device == "cuda" else "Python and the dispatcher"
    return (
        f"{share:.0%} of the time of {profile.implementation} at {where} is {what}, "
        f"under the profiler (profile {profile.id})."
    )
