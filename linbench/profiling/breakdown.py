"""Breakdown of a trace into lines: by nested operators on the host, by kernels on a device."""

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
"""Returns whether an operator computes or only dispatches, from its name and whether it called others."""


@dataclass
class _Sum:
    """The sums over the calls of one line."""

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
        """Return the sum of a line, which the first access creates."""
        return self._sums.setdefault((phase, name, kind), _Sum())

    def means(self, calls: int) -> tuple[Line, ...]:
        """Return the lines of one call, the means over this many calls, the longest first."""
        lines = [
            Line(
                phase,
                name,
                kind,
                calls=line.calls / calls,
                total_s=line.total_ns * 1e-9 / calls,
                self_s=line.self_ns * 1e-9 / calls,
                flops=line.flops / calls if line.flops else None,
                bytes=line.bytes / calls if line.bytes else None,
            )
            for (phase, name, kind), line in self._sums.items()
        ]
        return longest_first(lines)


def longest_first(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Return lines sorted by their self time, the longest first."""
    return tuple(sorted(lines, key=lambda line: (-line.self_s, line.phase, line.name)))


@dataclass
class _Open:
    """A span that has not ended at the current event of the trace.

    Attributes:
        span: The span.
        phase: The phase that it belongs to.
        is_phase: True if it is the range of a phase itself.
        is_inner: True if it is nested in a span of the same name.
        has_children: True if it called another operator.
        inside_ns: Time of the operators that it called.
        allocated_bytes: Bytes that it allocated itself.
    """

    span: Span
    phase: str
    is_phase: bool
    is_inner: bool
    has_children: bool = False
    inside_ns: int = 0
    allocated_bytes: int = 0


def host_lines(
    trace: Sequence[Span], phases: Mapping[str, str], calls: int, kind_of: KindOf
) -> tuple[Line, ...]:
    """Return the breakdown of the time inside the ranges of the phases, on the thread of these ranges.

    Time outside all operators that the profiler records counts as Python, and so does the time of ranges
    that an implementation opens itself.

    Args:
        trace: The spans.
        phases: The phase of each range, by name.
        calls: Number of calls in the trace.
        kind_of: Returns the kind of an operator's self time.
    """
    lines = _Lines()
    stack: list[_Open] = []

    def close(until_ns: float) -> None:
        while stack and stack[-1].span.end_ns <= until_ns:
            _add(lines, stack.pop(), kind_of)

    threads = {span.thread for span in trace if _is_phase(span, phases)}
    host = [span for span in trace if span.thread in threads and _on_host(span)]
    for span in sorted(host, key=lambda span: (span.start_ns, -span.end_ns)):
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
            outer.has_children = True
            is_inner = any(parent.span.name == span.name for parent in stack)
            stack.append(_Open(span, outer.phase, False, is_inner))
    close(float("inf"))
    return lines.means(calls)


def _on_host(span: Span) -> bool:
    return span.source in ("cpu_op", "user_annotation") or span.name == MEMORY


def _is_phase(span: Span, phases: Mapping[str, str]) -> bool:
    return span.name in phases and span.source in ("cpu_op", "user_annotation")


def _allocate(stack: Sequence[_Open], memory: Span) -> None:
    """Add an allocation to the innermost span that contains it."""
    for parent in reversed(stack):
        if memory.start_ns <= parent.span.end_ns:
            parent.allocated_bytes += max(0, memory.allocated_bytes)
            return


def _add(lines: _Lines, closed: _Open, kind_of: KindOf) -> None:
    span = closed.span
    line = lines.of(closed.phase, PYTHON if closed.is_phase else span.name, _kind(closed, kind_of))
    line.calls += 1
    line.self_ns += span.end_ns - span.start_ns - closed.inside_ns
    if not closed.is_inner:
        line.total_ns += span.end_ns - span.start_ns
    if _kind(closed, kind_of) not in HOST:
        line.flops += span.flops
        line.bytes += span.argument_bytes + closed.allocated_bytes


def _kind(closed: _Open, kind_of: KindOf) -> Kind:
    if closed.is_phase:
        return Kind.PYTHON
    if closed.span.name.startswith(FOREIGN) or COMPILED.match(closed.span.name):
        return Kind.FOREIGN
    if closed.span.source == "user_annotation":
        return Kind.PYTHON
    return kind_of(closed.span.name, closed.has_children)


def device_lines(trace: Sequence[Span], phases: Mapping[str, str], calls: int) -> tuple[Line, ...]:
    """Return the breakdown of a device's time, from the start of a call's first kernel to its last one's end.

    A kernel, copy or fill belongs to the phase in whose range it was launched; time in which none ran is a
    gap before the next. Overlapping kernels each count in full, so that the lines may add up to more than
    the time of the call.

    Args:
        trace: The spans; the device was synchronised between the calls.
        phases: The phase of each range, by name.
        calls: Number of calls in the trace.
    """
    lines = _Lines()
    launches = {span.correlation: span.start_ns for span in trace if span.source in LAUNCHES}
    ranges = sorted((span for span in trace if _is_phase(span, phases)), key=lambda span: span.start_ns)
    kernels = sorted((span for span in trace if span.source in ON_DEVICE), key=lambda span: span.start_ns)
    first_phase = phases[ranges[0].name] if ranges else ""
    before: tuple[int, int] | None = None  # the call and the end of the previous kernels
    for kernel in kernels:
        launched_ns = launches.get(kernel.correlation)
        number = _range_of(launched_ns, ranges)
        if number is None:
            continue
        phase = phases[ranges[number].name]
        call = sum(phases[span.name] == first_phase for span in ranges[: number + 1])
        if before is not None and before[0] == call and kernel.start_ns > before[1]:
            gap = lines.of(phase, GAP, Kind.GAP)
            gap.calls += 1
            gap.self_ns += kernel.start_ns - before[1]
            gap.total_ns += kernel.start_ns - before[1]
        end_ns = kernel.end_ns if before is None or before[0] != call else max(before[1], kernel.end_ns)
        before = call, end_ns
        line = lines.of(phase, kernel.name, Kind.KERNEL)
        line.calls += 1
        line.self_ns += kernel.end_ns - kernel.start_ns
        line.total_ns += kernel.end_ns - kernel.start_ns
    return lines.means(calls)


def _range_of(launched_ns: int | None, ranges: Sequence[Span]) -> int | None:
    """Return the index of the range that contains a launch, or None."""
    if launched_ns is None:
        return None
    inside = (n for n, span in enumerate(ranges) if span.start_ns <= launched_ns <= span.end_ns)
    return next(inside, None)
