"""Device: the few things that a timer needs of a CUDA device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar, cast

from linbench.measure.trace import Activity, device_activities

Replay = Callable[[], None]
R = TypeVar("R")


class Device(Protocol):
    """A device with one queue, which runs what is put there in order, while the host goes on.

    Attributes:
        l2_bytes: Size of its last cache.
    """

    l2_bytes: int

    def flush(self) -> None:
        """Queue a write of more than twice the cache, which so holds nothing else."""
        ...

    def spin(self, cycles: int) -> None:
        """Queue a kernel that does nothing for some cycles of the device's clock."""
        ...

    def record(self) -> object:
        """Queue an event, which takes the time when the device reaches it, and return it."""
        ...

    def elapsed_s(self, start: object, end: object) -> float:
        """Return the seconds between two events that the device has reached."""
        ...

    def synchronize(self) -> None:
        """Wait until the device has nothing left to do."""
        ...

    def capture(self, body: Callable[[], R]) -> tuple[Replay, R]:
        """Return what queues once more all that `body` queues, and what `body` returned when captured.

        What it returned is written by every replay. `body` is run once before, so that what is made at a
        first call is there.
        """
        ...

    def trace(self, body: Callable[[], None]) -> Sequence[Activity]:
        """Return what the device did for `body`, which is waited for."""
        ...


class CudaDevice:
    """The current CUDA device and its current stream, by torch."""

    def __init__(self) -> None:
        import torch

        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        self.l2_bytes: int = properties.L2_cache_size
        flush_bytes = max(2 * self.l2_bytes + 2**20, 2**26)
        self._flush = torch.empty(flush_bytes, dtype=torch.int8, device="cuda")
        self._cuda = torch.cuda

    def flush(self) -> None:
        """Queue a write of a buffer of more than twice the cache."""
        self._flush.zero_()

    def spin(self, cycles: int) -> None:
        """Queue torch's spin kernel."""
        self._cuda._sleep(cycles)

    def record(self) -> object:
        """Queue an event with a time."""
        event = self._cuda.Event(enable_timing=True)
        event.record()
        return event

    def elapsed_s(self, start: object, end: object) -> float:
        """Return the seconds between two events, to about 0.5 us."""
        return float(cast(Any, start).elapsed_time(end)) * 1e-3

    def synchronize(self) -> None:
        """Wait for every stream of the device."""
        self._cuda.synchronize()

    def capture(self, body: Callable[[], R]) -> tuple[Replay, R]:
        """Return the replay of a CUDA graph of `body`, captured on a stream of its own, and its result.

        Raises whatever `body` raises there, or torch if what it queued cannot be captured; torch's allocator
        is then of no further use, since it still takes the capture to be under way.
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
                with suppress(Exception):  # the capture was ended by what was raised, which says why
                    graph.capture_end()
                raise
            graph.capture_end()
        return graph.replay, returned

    def trace(self, body: Callable[[], None]) -> Sequence[Activity]:
        """Return what CUPTI saw the device do, by torch's profiler."""
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CUDA]) as profiled:
            body()
            self._cuda.synchronize()
        results = profiled.profiler.kineto_results if profiled.profiler else None
        return device_activities(results.events() if results else ())
