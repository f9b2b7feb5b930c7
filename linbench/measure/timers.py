"""Timers: how one call is timed; each has a name, and none stands in for another."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median
from typing import Protocol

from linbench.core.samples import Samples
from linbench.core.timer import timer_name
from linbench.measure.device import CudaDevice, Device, Replay
from linbench.measure.scheduling import SchedulerCounters, contended, scheduler_counters
from linbench.measure.trace import BadTrace, times_between_markers

SPIN_CYCLES = 200_000
REPLAY_CYCLES = 20_000
REPLAYS = 30
MOST_COPIES = 4096
OVERHEAD_SAMPLES = 100

Keep = Callable[[object], object]


class CannotTime(NotImplementedError):
    """A timer can have no time of a call; the reason is one line that names the timer."""


class CannotCapture(CannotTime):
    """A call was not captured into a CUDA graph; torch's allocator is of no further use in this process."""


class TimedCall(Protocol):
    """What a timer is given: a call on inputs of its own."""

    @property
    def input_bytes(self) -> int:
        """Bytes of the inputs, a state included."""
        ...

    @property
    def advances(self) -> bool:
        """Whether a call may advance a state in place, so that it must be prepared before the next."""
        ...

    def prepare(self) -> None:
        """Put back what the call before may have advanced."""
        ...

    def __call__(self) -> object:
        """Make the call."""
        ...

    def rotated(self, n: int) -> Sequence[TimedCall]:
        """Return the call n times, each on copies of the inputs."""
        ...

    def spoil(self, returned: object) -> None:
        """Fill with NaN what a call returned, so that a result that is not written again is seen."""
        ...


def as_it_is(returned: object) -> object:
    """Return what a call returned."""
    return returned


Sample = tuple[Samples, object]
"""The samples of one call, and what the call returned or `keep` made of it."""


class Sampler(Protocol):
    """Times one call at a time, the same over and over."""

    def __call__(self, keep: Keep = as_it_is) -> Sample:
        """Return the samples of one call, whole: work that it started is waited for.

        `keep` is applied to what the call returned, after the clock has stopped and before anything is
        waited for. The call is prepared by whoever asks.
        """
        ...


class Timer(Protocol):
    """A way to time calls.

    Attributes:
        name: As it is stored with every row.
    """

    name: str

    def bind(self, call: TimedCall) -> Sampler:
        """Return what times a call; what has to be made for that is made here, and goes with it.

        Raises:
            CannotTime: This timer is not for this call.
        """
        ...


class CpuTimer:
    """Wall time of a call on the CPU, by the monotonic clock.

    A sample is contended if the thread was switched out against its will and waited for more than 2% of
    its wall time (`linbench.measure.scheduling`). Switches and waiting are read outside the clocks, and after
    `keep`, which they so take in.
    """

    name = "cpu"

    def __init__(
        self,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
        process_ns: Callable[[], int] = time.process_time_ns,
        scheduler_counters: Callable[[], SchedulerCounters] = scheduler_counters,
    ) -> None:
        self._clock_ns = clock_ns
        self._process_ns = process_ns
        self._scheduler_counters = scheduler_counters

    def bind(self, call: Callable[[], object]) -> Sampler:
        """Return what takes the wall time of a call."""
        clock_ns, process_ns = self._clock_ns, self._process_ns

        def sample(keep: Keep = as_it_is) -> Sample:
            before = self._scheduler_counters()
            cpu_ns = process_ns()
            start_ns = clock_ns()
            returned = call()
            wall_ns = clock_ns() - start_ns
            cpu_ns = process_ns() - cpu_ns
            returned = keep(returned)  # at once: to read /proc lets other threads of Python run
            after = self._scheduler_counters()
            seconds = wall_ns * 1e-9
            samples = Samples(
                time_s=(seconds,),
                cpu_s=(cpu_ns * 1e-9,),
                switches=(after.switches - before.switches,),
                contended=(int(contended(before, after, seconds)),),
            )
            return samples, returned

        return sample


class CudaEventsColdTimer:
    """Device time between two CUDA events, caches cold.

    The L2 cache is flushed by writing more than twice its size; the device is idle when a short spin kernel
    is queued, so that both events and the call's kernels are queued before the device reaches them and
    launch gaps vanish where the host is fast enough.
    """

    name = "cuda_events_cold"

    def __init__(self, device: Device, clock_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._device = device
        self._clock_ns = clock_ns

    def bind(self, call: Callable[[], object]) -> Sampler:
        """Return what takes the device time of a call."""
        device = self._device

        def sample(keep: Keep = as_it_is) -> Sample:
            device.flush()
            device.synchronize()
            device.spin(SPIN_CYCLES)
            start = device.record()
            began_ns = self._clock_ns()
            returned = call()
            enqueue_s = (self._clock_ns() - began_ns) * 1e-9
            end = device.record()
            returned = keep(returned)
            device.synchronize()
            return Samples((device.elapsed_s(start, end),), enqueue_s=(enqueue_s,)), returned

        return sample


class CudaGraphTimer(ABC):
    """Device time of a call without its launches: a CUDA graph replayed between two events.

    A sample is the time of at least 30 replayed calls, divided by their number. What the last of them
    returned is full of NaN before, so that a result which no replay writes is caught.
    """

    name: str

    def __init__(self, device: Device, clock_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._device = device
        self._clock_ns = clock_ns

    @abstractmethod
    def calls(self, call: TimedCall) -> Sequence[TimedCall]:
        """Return the calls that one graph holds."""

    @abstractmethod
    def settle(self, replay: Replay) -> None:
        """Bring the caches to the state that is timed."""

    def bind(self, call: TimedCall) -> Sampler:
        """Return what takes the device time of a call, captured here.

        Raises:
            CannotTime: It cannot be replayed on one state, or takes too many copies.
            CannotCapture: It waits for the device, say, or there is not the memory for its copies.
        """
        device = self._device
        try:
            calls = self.calls(call)
            replay, returned = device.capture(lambda: [one() for one in calls])
        except CannotTime:
            raise
        except Exception as error:
            reason = f"{self.name} cannot capture the call: {type(error).__name__}: {error}"
            raise CannotCapture(reason) from error
        replays = math.ceil(REPLAYS / len(calls))

        def sample(keep: Keep = as_it_is) -> Sample:
            self.settle(replay)
            if call.advances:
                for one in calls:
                    one.prepare()
            calls[-1].spoil(returned[-1])
            device.synchronize()
            device.spin(SPIN_CYCLES + replays * REPLAY_CYCLES)
            start = device.record()
            began_ns = self._clock_ns()
            for _ in range(replays):
                replay()
            enqueue_s = (self._clock_ns() - began_ns) * 1e-9
            end = device.record()
            kept = keep(returned[-1])
            device.synchronize()
            count = replays * len(calls)
            return Samples((device.elapsed_s(start, end) / count,), enqueue_s=(enqueue_s / count,)), kept

        return sample


class CudaGraphHotTimer(CudaGraphTimer):
    """One call on the same inputs, replayed 30 times after once untimed: in cache is what fits there."""

    name = "cuda_graph_hot"

    def calls(self, call: TimedCall) -> Sequence[TimedCall]:
        """Return the call itself.

        Raises:
            CannotTime: Each replay would advance its state.
        """
        if call.advances:
            raise CannotTime(
                f"{self.name} replays a call on one state, which each would advance; use cuda_graph_cold"
            )
        return [call]

    def settle(self, replay: Replay) -> None:
        """Replay once."""
        replay()


class CudaGraphColdTimer(CudaGraphTimer):
    """Calls in turn on copies of the inputs, with outputs of their own, so that none finds its own in cache.

    Between two calls on one copy, the others read at least twice the L2 cache. A call that advances a state
    is made once on each of at least 30 copies, whose states are put back before each sample.
    """

    name = "cuda_graph_cold"

    def calls(self, call: TimedCall) -> Sequence[TimedCall]:
        """Return the call on as many copies as it takes.

        Raises:
            CannotTime: They are too many.
        """
        others = math.ceil(2 * self._device.l2_bytes / max(1, call.input_bytes))
        n = max(others + 1, REPLAYS if call.advances else 2)
        if n > MOST_COPIES:
            raise CannotTime(
                f"{self.name} needs {n:,} copies of inputs as small as {call.input_bytes:,} bytes to keep "
                f"them out of cache; it makes {MOST_COPIES:,} at most"
            )
        return call.rotated(n)

    def settle(self, replay: Replay) -> None:
        """Flush the cache."""
        del replay
        self._device.flush()


class CuptiTimer:
    """Device time from the start of a call's first kernel to the end of its last, as CUPTI saw them.

    Caches are cold and launches hidden as by `CudaEventsColdTimer`. `kernels_s` is the sum of the kernels'
    own times, so that seconds - kernels_s is what passed between them.
    """

    name = "cupti"

    def __init__(self, device: Device, clock_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._device = device
        self._clock_ns = clock_ns
        device.trace(lambda: device.spin(1))  # the first trace of a process also sets the profiler up

    def bind(self, call: Callable[[], object]) -> Sampler:
        """Return what takes the span and the sum of a call's kernels.

        A sample raises BadTrace if nothing ran on the device, or the profiler lost what did.
        """
        device = self._device

        def sample(keep: Keep = as_it_is) -> Sample:
            kept, enqueue_s = None, 0.0

            def body() -> None:
                nonlocal kept, enqueue_s
                device.spin(SPIN_CYCLES)
                began_ns = self._clock_ns()
                returned = call()
                enqueue_s = (self._clock_ns() - began_ns) * 1e-9
                device.spin(1)
                kept = keep(returned)

            device.flush()
            device.synchronize()
            try:
                span_s, kernels_s = times_between_markers(device.trace(body))
            except BadTrace as error:
                raise BadTrace(f"{self.name} has no time of the call: {error}") from None
            return Samples((span_s,), kernels_s=(kernels_s,), enqueue_s=(enqueue_s,)), kept

        return sample


CUDA_TIMERS: dict[str, Callable[[Device], Timer]] = {
    timer.name: timer for timer in (CudaEventsColdTimer, CudaGraphHotTimer, CudaGraphColdTimer, CuptiTimer)
}


def timer_for(name: str, device: str) -> Timer:
    """Return the timer of a name, on a kind of device.

    Raises:
        UsageError: There is no such timer there; the allowed names are given.
    """
    name = timer_name(name, device)
    return CUDA_TIMERS[name](CudaDevice()) if name in CUDA_TIMERS else CpuTimer()


def overhead(timer: Timer, nothing: TimedCall, samples: int = OVERHEAD_SAMPLES) -> tuple[float, float]:
    """Return the overhead and the resolution of a timer, seconds.

    The overhead is the median time of a call that does nothing; the resolution is the smallest difference
    between two successive such times that differ, 0 if none do.
    """
    sample = timer.bind(nothing)
    read_s = [sample()[0].time_s[0] for _ in range(samples)]
    steps_s = [abs(after - before) for before, after in pairwise(read_s) if after != before]
    return median(read_s), min(steps_s, default=0.0)
