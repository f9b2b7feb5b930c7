"""Trace: the activities of a device as recorded by a profiler, and the time of a call from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

MARKER = "spin_kernel"


class BadTrace(Exception):
    """A trace without a valid time; the reason is one line."""


@dataclass(frozen=True)
class Activity:
    """A kernel, a copy or a fill that ran on a device.

    Attributes:
        name: Name of the kernel, with its namespaces.
        start_ns: Start time, on a clock of the profiler.
        duration_ns: Duration.
        correlation: Number of the driver call that queued it; the numbers increase.
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
        """Name of the operator, range or kernel."""
        ...

    def activity_type(self) -> str:
        """Kind of activity: cpu_op, kernel, ..."""
        ...

    def device_type(self) -> _DeviceType:
        """Type of the device on which it ran."""
        ...

    def start_ns(self) -> int:
        """Start time."""
        ...

    def duration_ns(self) -> int:
        """Duration."""
        ...

    def correlation_id(self) -> int:
        """Number that links a kernel to the driver call that queued it."""
        ...

    def start_thread_id(self) -> int:
        """Number of the host thread."""
        ...

    def flops(self) -> int:
        """Operations, as torch counts them."""
        ...

    def nbytes(self) -> int:
        """Bytes allocated, or released if negative."""
        ...

    def shapes(self) -> Sequence[Sequence[int]]:
        """Shapes of its tensor arguments."""
        ...

    def dtypes(self) -> Sequence[str]:
        """Types of its arguments."""
        ...


def device_activities(events: Iterable[KinetoEvent]) -> list[Activity]:
    """Return the activities on a CUDA device from the events of kineto, torch's profiler."""
    return [
        Activity(event.name(), event.start_ns(), event.duration_ns(), event.correlation_id())
        for event in events
        if event.device_type().name == "CUDA"
    ]


def times_between_markers(activities: Iterable[Activity]) -> tuple[float, float]:
    """Return the span and the sum, seconds, of the activities queued between the first and the last marker.

    The span is from the start of the first activity to the end of the last, on any stream; the sum is of the
    activities' own durations and exceeds the span where they overlap. A marker is a kernel named `MARKER`.
    The order is that of the driver calls that queued the activities, not that of their execution.

    Raises:
        BadTrace: There are fewer than two markers, or nothing between them.
    """
    all_activities = list(activities)
    markers = [activity.correlation for activity in all_activities if MARKER in activity.name]
    if len(markers) < 2:
        raise BadTrace(f"the trace has {len(markers)} of the two kernels that mark the call's start and end")
    between = [activity for activity in all_activities if min(markers) < activity.correlation < max(markers)]
    if not between:
        raise BadTrace("the call ran nothing on the device")
    start_ns = min(activity.start_ns for activity in between)
    end_ns = max(activity.start_ns + activity.duration_ns for activity in between)
    return (end_ns - start_ns) * 1e-9, sum(activity.duration_ns for activity in between) * 1e-9
