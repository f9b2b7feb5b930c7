"""Diagnosis: what a breakdown shows about a call, in sentences; and two breakdowns line by line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from linbench.core.profile import HOST_BOUND, Breakdown, Kind, Line
from linbench.text import format

MANY_FAULTS = 10
PHASES = ("fwd", "bwd", "prefill", "decode")


def diagnose(breakdown: Breakdown, tool: str, device: str) -> list[str]:
    """Return sentences that summarise where the time of a call goes.

    Args:
        breakdown: The breakdown of the call's time.
        tool: The tool that measured it.
        device: cpu or cuda.
    """
    wall = format.seconds(breakdown.wall_s)
    if tool == "ncu":
        return [
            f"The kernels take {wall} per call when ncu runs them one at a time with cold caches; "
            "do not compare this with a measured time."
        ]
    sentences = [f"The lines account for {breakdown.accounted:.1%} of {wall} per call."]
    share = breakdown.host_share(tool, device)
    return sentences + (
        _on_device(breakdown, share) if device == "cuda" else _on_host(breakdown, share or 0.0)
    )


def _on_device(breakdown: Breakdown, gaps: float | None) -> list[str]:
    sentences = []
    if gaps is not None:
        bound = "; launch overhead on the host limits the call" if gaps > HOST_BOUND else ""
        sentences.append(f"{gaps:.0%} of this time is launch gaps{bound}.")
    times_s = {"Wall": breakdown.plain_s or 0.0, **breakdown.times_s}
    sentences.append(", ".join(f"{name} {format.seconds(value)}" for name, value in times_s.items()) + ".")
    return sentences


def _on_host(breakdown: Breakdown, host: float) -> list[str]:
    plain_s = breakdown.plain_s or 0.0
    bound = "; host overhead limits the call" if host > HOST_BOUND else ""
    slowdown = breakdown.wall_s / plain_s - 1 if plain_s else 0.0
    busy = (breakdown.cpu_s or 0.0) / plain_s if plain_s else 0.0
    faults = round(breakdown.page_faults or 0)
    many = "; it allocates memory from the operating system and returns it" if faults >= MANY_FAULTS else ""
    return [
        f"{host:.0%} of this time is Python and the dispatcher{bound}.",
        f"Without the profiler, a call takes {format.seconds(plain_s)}; with it, "
        f"{abs(slowdown):.0%} {'longer' if slowdown >= 0 else 'less'}.",
        f"A call keeps {busy:.2g} of {format.plural(breakdown.threads or 0, 'thread')} busy.",
        f"A call causes {format.plural(faults, 'page fault')}{many}.",
    ]


@dataclass(frozen=True)
class Pair:
    """The same line in two breakdowns.

    Attributes:
        phase: fwd, bwd, prefill or decode.
        name: Name of the operator, kernel or C function.
        one: Its line in the first breakdown; None if there is none.
        other: Its line in the second breakdown; None if there is none.
    """

    phase: str
    name: str
    one: Line | None
    other: Line | None

    @property
    def difference_s(self) -> float:
        """The self time of the second line minus that of the first, seconds."""
        return (self.other.self_s if self.other else 0.0) - (self.one.self_s if self.one else 0.0)


def align(first: Breakdown, second: Breakdown) -> list[Pair]:
    """Return the lines of two breakdowns in pairs by phase and name.

    Sorted by phase, and in each phase by difference, the largest first.
    """
    a, b = _by_key(first.lines), _by_key(second.lines)
    pairs = [Pair(*key[:2], a.get(key), b.get(key)) for key in dict.fromkeys([*a, *b])]
    return sorted(pairs, key=lambda pair: (PHASES.index(pair.phase), -abs(pair.difference_s), pair.name))


def _by_key(lines: Iterable[Line]) -> dict[tuple[str, str, Kind], Line]:
    return {(line.phase, line.name, line.kind): line for line in lines}
