"""Words: what a breakdown says of a call, in sentences; and two breakdowns line by line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from linbench.core.profile import HOST_BOUND, Breakdown, Kind, Line
from linbench.text import format

MANY_FAULTS = 10
PHASES = ("fwd", "bwd", "prefill", "decode")


def diagnosis(found: Breakdown, tool: str, device: str) -> list[str]:
    """Return what the time of a call is made of, a sentence each.

    Args:
        found: Where it went.
        tool: That found it.
        device: cpu or cuda.
    """
    wall = format.seconds(found.wall_s)
    if tool == "ncu":
        return [
            f"Its kernels take {wall} a call, one at a time and with cold caches: that is no time of a row."
        ]
    said = [f"The lines account for {found.accounted:.1%} of {wall} a call."]
    share = found.host_share(tool, device)
    return said + (_on_device(found, share) if device == "cuda" else _on_host(found, share or 0.0))


def _on_device(found: Breakdown, gaps: float | None) -> list[str]:
    said = []
    if gaps is not None:
        bound = "; the host does not launch fast enough" if gaps > HOST_BOUND else ""
        said.append(f"{gaps:.0%} of this time is launch gaps{bound}.")
    beside = {"Wall": found.plain_s or 0.0, **found.times_s}
    said.append(", ".join(f"{name} {format.seconds(value)}" for name, value in beside.items()) + ".")
    return said


def _on_host(found: Breakdown, host: float) -> list[str]:
    plain_s = found.plain_s or 0.0
    bound = "; it is bound by the host's overhead" if host > HOST_BOUND else ""
    longer = found.wall_s / plain_s - 1 if plain_s else 0.0
    busy = (found.cpu_s or 0.0) / plain_s if plain_s else 0.0
    faults = round(found.page_faults or 0)
    many = "; it takes memory from the system and gives it back" if faults >= MANY_FAULTS else ""
    return [
        f"{host:.0%} of this time is Python and the dispatcher{bound}.",
        f"Without the profiler a call takes {format.seconds(plain_s)}: profiled it took "
        f"{abs(longer):.0%} {'longer' if longer >= 0 else 'less'}.",
        f"It keeps {busy:.2g} of {format.plural(found.threads or 0, 'thread')} busy.",
        f"It meets {format.plural(faults, 'page fault')} a call{many}.",
    ]


@dataclass(frozen=True)
class Pair:
    """The same line of two breakdowns.

    Attributes:
        phase: fwd, bwd, prefill or decode.
        name: Of the operator, kernel or C function.
        one: Its line in the first; None where there is none.
        other: Its line in the second; None where there is none.
    """

    phase: str
    name: str
    one: Line | None
    other: Line | None

    @property
    def difference_s(self) -> float:
        """How much longer the second is, seconds."""
        return (self.other.self_s if self.other else 0.0) - (self.one.self_s if self.one else 0.0)


def aligned(one: Breakdown, other: Breakdown) -> list[Pair]:
    """Return the lines of two breakdowns in pairs by phase and name, the most different of a phase first."""
    first, second = _by_key(one.lines), _by_key(other.lines)
    pairs = [Pair(*key[:2], first.get(key), second.get(key)) for key in dict.fromkeys([*first, *second])]
    return sorted(pairs, key=lambda pair: (PHASES.index(pair.phase), -abs(pair.difference_s), pair.name))


def _by_key(lines: Iterable[Line]) -> dict[tuple[str, str, Kind], Line]:
    return {(line.phase, line.name, line.kind): line for line in lines}
