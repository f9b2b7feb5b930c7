"""Breakdown of a trace into lines: on the host by what ran inside what, on a device by what kernels ran."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from linbench.core.profile import HOST, Kind, Line
from linbench.profiling.span import LAUNCHES, MEMORY, ON_DEVICE, Span

FOREIGN = "ctypes::"
COMPILED = re.compile(r"graph_\d+_")
PYTHON = "Python"
GAP = "launch gaps"

KindOf = Callable[[str, bool], Kind]
"""Says of an operator, by its name and by whether it called others, if it computes or only dispatches."""


@dataclass
class _Sum:
    """What the calls of one line add up to."""

    calls: int = 0
    total_ns: int = 0
    self_ns: int = 0
    flops: int = 0
    bytes: int = 0


class _Lines:
    """Sums by phase, name and kind."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, Kind], _Sum] = {}

    def of(self, phase: str, name: str, kind: Kind) -> _Sum:
        """Return the sum of a line, made at its first call."""
        return self._sums.setdefault((phase, name, kind), _Sum())

    def means(self, calls: int) -> tuple[Line, ...]:
        """Return the lines of one of so many calls, the longest first."""
        found = [
            Line(
                phase,
                name,
                kind,
                calls=one.calls / calls,
                total_s=one.total_ns * 1e-9 / calls,
                self_s=one.self_ns * 1e-9 / calls,
                flops=one.flops / calls if one.flops else None,
                bytes=one.bytes / calls if one.bytes else None,
            )
            for (phase, name, kind), one in self._sums.items()
        ]
        return longest_first(found)


def longest_first(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Return lines by their own time, the longest first."""
    return tuple(sorted(lines, key=lambda line: (-line.self_s, line.phase, line.name)))


@dataclass
class _Open:
    """A span that is not over where the walk over the trace stands.

    Attributes:
        span: What is open.
        phase: That it belongs to.
        is_phase: It is the range of a phase itself.
        is_inner: It lies in another of its name.
        called: It called another operator.
        inside_ns: Time of what it called.
        allocated_bytes: What it took for itself.
    """

    span: Span
    phase: str
    is_phase: bool
    is_inner: bool
    called: bool = False
    inside_ns: int = 0
    allocated_bytes: int = 0


def host_lines(
    found: Sequence[Span], phases: Mapping[str, str], calls: int, kind_of: KindOf
) -> tuple[Line, ...]:
    """Return where the time inside the ranges of the phases went, on the thread that they are on.

    Time in which nothing ran that the profiler sees is Python's, and so is that of ranges which an
    implementation opens itself.

    Args:
        found: The trace.
        phases: The phase of each range, by name.
        calls: How many calls the trace is of.
        kind_of: What an operator's time is of.
    """
    lines = _Lines()
    stack: list[_Open] = []

    def close(until_ns: float) -> None:
        while stack and stack[-1].span.end_ns <= until_ns:
            _add(lines, stack.pop(), kind_of)

    threads = {span.thread for span in found if _is_phase(span, phases)}
    here = [span for span in found if span.thread in threads and _on_host(span)]
    for span in sorted(here, key=lambda span: (span.start_ns, -span.end_ns)):
        if span.name == MEMORY:
            _allocate(stack, span)
            continue
        close(span.start_ns)
        is_phase = _is_phase(span, phases)
        if is_phase:
            stack.append(_Open(span, phases[span.name], True, False))
        elif stack:
            outer = stack[-1]
            outer.inside_ns += min(span.end_ns, outer.span.end_ns) - span.start_ns
            outer.called = True
            is_inner = any(one.span.name == span.name for one in stack)
            stack.append(_Open(span, outer.phase, False, is_inner))
    close(float("inf"))
    return lines.means(calls)


def _on_host(span: Span) -> bool:
    return span.source in ("cpu_op", "user_annotation") or span.name == MEMORY


def _is_phase(span: Span, phases: Mapping[str, str]) -> bool:
    return span.name in phases and span.source in ("cpu_op", "user_annotation")


def _allocate(stack: Sequence[_Open], memory: Span) -> None:
    """Charge an allocation to the innermost span that it falls into."""
    for one in reversed(stack):
        if memory.start_ns <= one.span.end_ns:
            one.allocated_bytes += max(0, memory.allocated_bytes)
            return


def _add(lines: _Lines, done: _Open, kind_of: KindOf) -> None:
    span = done.span
    line = lines.of(done.phase, PYTHON if done.is_phase else span.name, _kind(done, kind_of))
    line.calls += 1
    line.self_ns += span.end_ns - span.start_ns - done.inside_ns
    if not done.is_inner:
        line.total_ns += span.end_ns - span.start_ns
    if _kind(done, kind_of) not in HOST:
        line.flops += span.flops
        line.bytes += span.argument_bytes + done.allocated_bytes


def _kind(done: _Open, kind_of: KindOf) -> Kind:
    if done.is_phase:
        return Kind.PYTHON
    if done.span.name.startswith(FOREIGN) or COMPILED.match(done.span.name):
        return Kind.FOREIGN
    if done.span.source == "user_annotation":
        return Kind.PYTHON
    return kind_of(done.span.name, done.called)


def device_lines(found: Sequence[Span], phases: Mapping[str, str], calls: int) -> tuple[Line, ...]:
    """Return where the time of a device went, from a call's first kernel to the end of its last.

    A kernel, copy or fill belongs to the phase in whose range it was launched; time in which none ran is a
    gap before the next. Kernels that overlap count in full each, so that the lines may then add up to more
    than the time of the call.

    Args:
        found: The trace; the device has been waited for between its calls.
        phases: The phase of each range, by name.
        calls: How many calls the trace is of.
    """
    lines = _Lines()
    launches = {span.correlation: span.start_ns for span in found if span.source in LAUNCHES}
    ranges = sorted((span for span in found if _is_phase(span, phases)), key=lambda span: span.start_ns)
    kernels = sorted((span for span in found if span.source in ON_DEVICE), key=lambda span: span.start_ns)
    first_phase = phases[ranges[0].name] if ranges else ""
    before: tuple[int, int] | None = None  # the call of the kernel before, and where it ended
    for kernel in kernels:
        launched_ns = launches.get(kernel.correlation)
        number = _range_of(launched_ns, ranges)
        if number is None:
            continue
        phase = phases[ranges[number].name]
        call = sum(phases[one.name] == first_phase for one in ranges[: number + 1])
        if before is not None and before[0] == call and kernel.start_ns > before[1]:
            gap = lines.of(phase, GAP, Kind.GAP)
            gap.calls += 1
            gap.self_ns += kernel.start_ns - before[1]
            gap.total_ns += kernel.start_ns - before[1]
        ended = kernel.end_ns if before is None or before[0] != call else max(before[1], kernel.end_ns)
        before = call, ended
        line = lines.of(phase, kernel.name, Kind.KERNEL)
        line.calls += 1
        line.self_ns += kernel.end_ns - kernel.start_ns
        line.total_ns += kernel.end_ns - kernel.start_ns
    return lines.means(calls)


def _range_of(launched_ns: int | None, ranges: Sequence[Span]) -> int | None:
    """Return the number of the range in which something was launched, or None."""
    if launched_ns is None:
        return None
    inside = (n for n, one in enumerate(ranges) if one.start_ns <= launched_ns <= one.end_ns)
    return next(inside, None)
