"""Device: the operations of a CUDA device that timers need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar, cast

from linbench.measure.trace import Activity, device_activities

Replay = Callable[[], None]
R = TypeVar("R")


class Device(Protocol):
    """A device with one queue, which executes work in order, asynchronously to the host.

    Attributes:
        l2_bytes: Size of its last-level cache.
    """

    l2_bytes: int

    def flush(self) -> None:
        """Queue a write of more than twice the size of the cache, so that the cache contains nothing else."""
        ...

    def spin(self, cycles: int) -> None:
        """Queue a kernel that does nothing for some cycles of the device's clock."""
        ...

    def record(self) -> object:
        """Queue an event, which records the time when the device reaches it, and return it."""
        ...

    def elapsed_s(self, start: object, end: object) -> float:
        """Return the seconds between two events that the device has reached."""
        ...

    def synchronize(self) -> None:
        """Wait until the device is idle."""
        ...

    def capture(self, body: Callable[[], R]) -> tuple[Replay, R]:
        """Capture the work that `body` queues; return a function that replays it, and the result of `body`.

        Every replay writes to that result. `body` is run once before the capture, for its one-time set-up.
        """
        ...

    def trace(self, body: Callable[[], None]) -> Sequence[Activity]:
        """Run `body`, wait for the device, and return its activities."""
        ...


class CudaDevice:
    """The current CUDA device and its current stream, through torch."""

    def __init__(self) -> None:
        import torch

        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        self.l2_bytes: int = properties.L2_cache_size
        flush_bytes = max(2 * self.l2_bytes + 2**20, 2**26)
        self._flush = torch.empty(flush_bytes, dtype=torch.int8, device="cuda")
        self._cuda = torch.cuda

    def flush(self) -> None:
        """Queue a write of a buffer of more than twice the size of the cache."""
        self._flush.zero_()

    def spin(self, cycles: int) -> None:
        """Queue torch's spin kernel."""
        self._cuda._sleep(cycles)

    def record(self) -> object:
        """Queue an event with timing."""
        event = self._cuda.Event(enable_timing=True)
        event.record()
        return event

    def elapsed_s(self, start: object, end: object) -> float:
        """Return the seconds between two events, to about 0.5 us."""
        return float(cast(Any, start).elapsed_time(end)) * 1e-3

    def synchronize(self) -> None:
        """Wait for all streams of the device."""
        self._cuda.synchronize()

    def capture(self, body: Callable[[], R]) -> tuple[Replay, R]:
        """Return the replay function of a CUDA graph of `body`, captured on its own stream, and the result.

        Raises whatever `body` raises during the capture, or an error of torch if the work cannot be captured;
        torch's allocator is then unusable, since it assumes that the capture is still in progress.
        """
        stream = self._cuda.Stream()
        stream.wait_stream(self._cuda.current_stream())
        with self._cuda.stream(stream):
            body()
            self._cuda.synchronize()
            graph = self._cuda.CUDAGraph()
            graph.capture_begin()
            try:
                returned = body()
            except BaseException:
                with suppress(Exception):  # the error that ended the capture is the one to raise
                    graph.capture_end()
                raise
            graph.capture_end()
        return graph.replay, returned

    def trace(self, body: Callable[[], None]) -> Sequence[Activity]:
        """Run `body`, wait, and return the activities that CUPTI recorded, through torch's profiler."""
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CUDA]) as profiled:
            body()
            self._cuda.synchronize()
        results = profiled.profiler.kineto_results if profiled.profiler else None
        return device_activities(results.events() if results else ())
