"""Timers: the ways to time one call; each has a name, and none is a substitute for another."""

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
    """A timer does not support a call; the reason is one line that names the timer."""


class CannotCapture(CannotTime):
    """Capturing a call into a CUDA graph failed; torch's allocator is unusable in this process."""


class TimedCall(Protocol):
    """A call that a timer can time, bound to its inputs."""

    @property
    def input_bytes(self) -> int:
        """Bytes of the inputs, including a state."""
        ...

    @property
    def advances(self) -> bool:
        """Whether a call may update a state in place, so that `prepare` must precede the next call."""
        ...

    def prepare(self) -> None:
        """Restore what the previous call may have changed."""
        ...

    def __call__(self) -> object:
        """Make the call."""
        ...

    def rotated(self, n: int) -> Sequence[TimedCall]:
        """Return n copies of the call, each on copies of the inputs."""
        ...

    def spoil(self, returned: object) -> None:
        """Fill the results of a call with NaN, so that a result that is not rewritten is detected."""
        ...


def identity(returned: object) -> object:
    """Return the result of a call unchanged."""
    return returned


Sample = tuple[Samples, object]
"""The samples of one call, and its result after `keep`."""


class Sampler(Protocol):
    """Times one call per invocation, always the same."""

    def __call__(self, keep: Keep = identity) -> Sample:
        """Make and time one call, including the work that it started, and return its samples and result.

        `keep` is applied to the result after the clock has stopped and before any synchronisation. The caller
        prepares the call.
        """
        ...


class Timer(Protocol):
    """A way to time calls.

    Attributes:
        name: Name, stored with every row.
    """

    name: str

    def bind(self, call: TimedCall) -> Sampler:
        """Return a sampler of a call; the resources for timing are created here and released with it.

        Raises:
            CannotTime: The timer does not support this call.
        """
        ...


class CpuTimer:
    """Wall time of a call on the CPU, by the monotonic clock.

    A sample is contended if the thread was preempted and waited for more than 2% of its wall time
    (`linbench.measure.scheduling`). The scheduler counters are read outside the timed region and after
    `keep`, so they include it.
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
        """Return a sampler of the wall time of a call."""
        clock_ns, process_ns = self._clock_ns, self._process_ns

        def sample(keep: Keep = identity) -> Sample:
            before = self._scheduler_counters()
            cpu_ns = process_ns()
            start_ns = clock_ns()
            returned = call()
            wall_ns = clock_ns() - start_ns
            cpu_ns = process_ns() - cpu_ns
            returned = keep(returned)  # first, since reading /proc lets other Python threads run
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
    """Device time between two CUDA events, with cold caches.

    The L2 cache is flushed by writing more than twice its size. A short spin kernel is then queued on the
    idle device, so that both events and the call's kernels are queued before the device reaches them and
    launch gaps vanish if the host is fast enough.
    """

    name = "cuda_events_cold"

    def __init__(self, device: Device, clock_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._device = device
        self._clock_ns = clock_ns

    def bind(self, call: Callable[[], object]) -> Sampler:
        """Return a sampler of the device time of a call."""
        device = self._device

        def sample(keep: Keep = identity) -> Sample:
            device.flush()
            device.synchronize()
            device.spin(SPIN_CYCLES)
            start = device.record()
            start_ns = self._clock_ns()
            returned = call()
            enqueue_s = (self._clock_ns() - start_ns) * 1e-9
            end = device.record()
            returned = keep(returned)
            device.synchronize()
            return Samples((device.elapsed_s(start, end),), enqueue_s=(enqueue_s,)), returned

        return sample


class CudaGraphTimer(ABC):
    """Device time of a call without launch overhead: a CUDA graph replayed between two events.

    A sample is the time of at least 30 replayed calls, divided by their number. The result of the last of
    them is filled with NaN before, so that a result that no replay writes is detected.
    """

    name: str

    def __init__(self, device: Device, clock_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._device = device
        self._clock_ns = clock_ns

    @abstractmethod
    def calls(self, call: TimedCall) -> Sequence[TimedCall]:
        """Return the calls to capture in one graph."""

    @abstractmethod
    def settle(self, replay: Replay) -> None:
        """Bring the caches into the state to be timed."""

    def bind(self, call: TimedCall) -> Sampler:
        """Capture a call and return a sampler of its device time.

        Raises:
            CannotTime: It cannot be replayed on one state, or needs too many copies.
            CannotCapture: It synchronises with the device, for example, or there is no memory for its copies.
        """
        device = self._device
        try:
            calls = self.calls(call)
            replay, returned = device.capture(lambda: [copy() for copy in calls])
        except CannotTime:
            raise
        except Exception as error:
            reason = f"{self.name} cannot capture the call: {type(error).__name__}: {error}"
            raise CannotCapture(reason) from error
        replays = math.ceil(REPLAYS / len(calls))

        def sample(keep: Keep = identity) -> Sample:
            self.settle(replay)
            if call.advances:
                for copy in calls:
                    copy.prepare()
            calls[-1].spoil(returned[-1])
            device.synchronize()
            device.spin(SPIN_CYCLES + replays * REPLAY_CYCLES)
            start = device.record()
            start_ns = self._clock_ns()
            for _ in range(replays):
                replay()
            enqueue_s = (self._clock_ns() - start_ns) * 1e-9
            end = device.record()
            result = keep(returned[-1])
            device.synchronize()
            count = replays * len(calls)
            return Samples((device.elapsed_s(start, end) / count,), enqueue_s=(enqueue_s / count,)), result

        return sample


class CudaGraphHotTimer(CudaGraphTimer):
    """One call on the same inputs, replayed 30 times after one untimed replay: hot caches."""

    name = "cuda_graph_hot"

    def calls(self, call: TimedCall) -> Sequence[TimedCall]:
        """Return the call itself.

        Raises:
            CannotTime: Each replay would update its state.
        """
        if call.advances:
            raise CannotTime(
                f"{self.name} replays a call on one state, which each call would update; use cuda_graph_cold"
            )
        return [call]

    def settle(self, replay: Replay) -> None:
        """Replay once."""
        replay()


class CudaGraphColdTimer(CudaGraphTimer):
    """Calls in turn on copies of the inputs, with separate outputs, so that no call finds its data in cache.

    Between two calls on one copy, the others read at least twice the size of the L2 cache. A call that
    updates a state is made once on each of at least 30 copies, whose states are restored before each sample.
    """

    name = "cuda_graph_cold"

    def calls(self, call: TimedCall) -> Sequence[TimedCall]:
        """Return the call on as many copies as needed.

        Raises:
            CannotTime: It needs too many copies.
        """
        least = math.ceil(2 * self._device.l2_bytes / max(1, call.input_bytes)) + 1
        n = max(least, REPLAYS if call.advances else 2)
        if n > MOST_COPIES:
            raise CannotTime(
                f"{self.name} needs {n:,} copies of inputs of only {call.input_bytes:,} bytes to keep them "
                f"out of cache; it makes at most {MOST_COPIES:,}"
            )
        return call.rotated(n)

    def settle(self, replay: Replay) -> None:
        """Flush the cache."""
        del replay
        self._device.flush()


class CuptiTimer:
    """Device time from the start of a call's first kernel to the end of its last, as recorded by CUPTI.

    Caches are cold and launch overhead is hidden as by `CudaEventsColdTimer`. `kernels_s` is the sum of the
    kernels' own durations, so `time_s` - `kernels_s` is the time between them.
    """

    name = "cupti"

    def __init__(self, device: Device, clock_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._device = device
        self._clock_ns = clock_ns
        device.trace(lambda: device.spin(1))  # the first trace of a process also sets up the profiler

    def bind(self, call: Callable[[], object]) -> Sampler:
        """Return a sampler of the span and the sum of a call's kernels.

        Sampling raises BadTrace if nothing ran on the device, or if the profiler lost activities.
        """
        device = self._device

        def sample(keep: Keep = identity) -> Sample:
            result, enqueue_s = None, 0.0

            def body() -> None:
                nonlocal result, enqueue_s
                device.spin(SPIN_CYCLES)
                start_ns = self._clock_ns()
                returned = call()
                enqueue_s = (self._clock_ns() - start_ns) * 1e-9
                device.spin(1)
                result = keep(returned)

            device.flush()
            device.synchronize()
            try:
                span_s, kernels_s = times_between_markers(device.trace(body))
            except BadTrace as error:
                raise BadTrace(f"{self.name} cannot time the call: {error}") from None
            return Samples((span_s,), kernels_s=(kernels_s,), enqueue_s=(enqueue_s,)), result

        return sample


CUDA_TIMERS: dict[str, Callable[[Device], Timer]] = {
    timer.name: timer for timer in (CudaEventsColdTimer, CudaGraphHotTimer, CudaGraphColdTimer, CuptiTimer)
}


def timer_for(name: str, device: str) -> Timer:
    """Return the timer of a name for a kind of device.

    Raises:
        UsageError: The device has no such timer; the message lists the allowed names.
    """
    name = timer_name(name, device)
    return CUDA_TIMERS[name](CudaDevice()) if name in CUDA_TIMERS else CpuTimer()


def overhead(timer: Timer, nothing: TimedCall, samples: int = OVERHEAD_SAMPLES) -> tuple[float, float]:
    """Return the overhead and the resolution of a timer, seconds.

    The overhead is the median time of a call that does nothing; the resolution is the smallest nonzero
    difference between two successive such times, 0 if there is none.
    """
    sample = timer.bind(nothing)
    times_s = [sample()[0].time_s[0] for _ in range(samples)]
    steps_s = [abs(after - before) for before, after in pairwise(times_s) if after != before]
    return median(times_s), min(steps_s, default=0.0)
