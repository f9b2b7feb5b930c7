"""Trace: what a profiler saw a device do, and the time that a call took by it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

MARKER = "spin_kernel"


class BadTrace(Exception):
    """A trace from which no time can be told; the reason is one line."""


@dataclass(frozen=True)
class Activity:
    """A kernel, a copy or a fill that ran on a device.

    Attributes:
        name: Of the kernel, with its namespaces.
        start_ns: When it started, on a clock of the profiler's.
        duration_ns: How long it ran.
        correlation: Number of the call of the driver that queued it; they count up.
    """

    name: str
    start_ns: int
    duration_ns: int
    correlation: int


class _DeviceType(Protocol):
    name: str


class KinetoEvent(Protocol):
    """An event of kineto, torch's profiler, as far as it is read here and by `linbench.profiling`."""

    def name(self) -> str:
        """Of the operator, range or kernel."""
        ...

    def activity_type(self) -> str:
        """What kind of thing ran: cpu_op, kernel, ..."""
        ...

    def device_type(self) -> _DeviceType:
        """On what it ran."""
        ...

    def start_ns(self) -> int:
        """When it started."""
        ...

    def duration_ns(self) -> int:
        """How long it ran."""
        ...

    def correlation_id(self) -> int:
        """Ties a kernel to the call of the driver that queued it."""
        ...

    def start_thread_id(self) -> int:
        """Number of the host's thread."""
        ...

    def flops(self) -> int:
        """As torch counts them."""
        ...

    def nbytes(self) -> int:
        """Taken or given back."""
        ...

    def shapes(self) -> Sequence[Sequence[int]]:
        """Of its tensor arguments."""
        ...

    def dtypes(self) -> Sequence[str]:
        """Of its arguments."""
        ...


def device_activities(events: Iterable[KinetoEvent]) -> list[Activity]:
    """Return what ran on a CUDA device of the events of kineto, torch's profiler; the host's are left out."""
    return [
        Activity(event.name(), event.start_ns(), event.duration_ns(), event.correlation_id())
        for event in events
        if event.device_type().name == "CUDA"
    ]


def times_between_markers(activities: Iterable[Activity]) -> tuple[float, float]:
    """Return the span and the sum, seconds, of what was queued between the first marker and the last.

    The span is from the start of the first activity to the end of the last, on whatever streams; the sum is
    of the activities' own times, and is more than the span where they overlap. A marker is a kernel named
    `MARKER`. What was queued between is told by the order of the calls that queued it, not by when it ran.

    Raises:
        BadTrace: There are not two markers, or nothing between them.
    """
    queued = list(activities)
    marks = [activity.correlation for activity in queued if MARKER in activity.name]
    if len(marks) < 2:
        raise BadTrace(f"the trace has {len(marks)} of the two kernels that mark the call's start and end")
    between = [activity for activity in queued if min(marks) < activity.correlation < max(marks)]
    if not between:
        raise BadTrace("the call ran nothing on the device")
    start_ns = min(activity.start_ns for activity in between)
    end_ns = max(activity.start_ns + activity.duration_ns for activity in between)
    return (end_ns - start_ns) * 1e-9, sum(activity.duration_ns for activity in between) * 1e-9
