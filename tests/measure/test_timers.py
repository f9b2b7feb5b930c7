"""Timers, on clocks that are told what to say and on a device that is made up."""

import subprocess
import sys
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from fake_device import HIT_S_A_BYTE, LAUNCH_S, MISS_S_A_BYTE, SPIN_HZ, FakeCall, FakeDevice, NotThere

from linbench import Case
from linbench.core.errors import UsageError
from linbench.core.registry import registry
from linbench.core.timer import DEFAULT_TIMER, TIMERS, timer_name
from linbench.execution.worker import failure
from linbench.measure.accuracy import complaint, errors
from linbench.measure.call import Call, LaidInputs
from linbench.measure.hygiene import copied
from linbench.measure.timers import (
    CUDA_TIMERS,
    REPLAYS,
    SPIN_CYCLES,
    CannotCapture,
    CannotTime,
    CpuTimer,
    CudaEventsColdTimer,
    CudaGraphColdTimer,
    CudaGraphHotTimer,
    CuptiTimer,
    Sample,
    overhead,
    timer_for,
)
from linbench.measure.trace import Activity, BadTrace, device_activities, times_between_markers

# Names


def test_every_name_is_a_timer_of_its_device():
    assert {name for name, device in TIMERS.items() if device == "cuda"} == set(CUDA_TIMERS)
    assert {name for name, device in TIMERS.items() if device == "cpu"} == {CpuTimer.name}
    assert all(TIMERS[name] == device for device, name in DEFAULT_TIMER.items())
    assert isinstance(timer_for("cpu", "cpu"), CpuTimer)


def test_a_timer_is_the_one_that_was_named_or_the_default():
    assert timer_name(None, "cpu") == "cpu"
    assert timer_name(None, "cuda") == "cuda_events_cold"
    assert timer_name("cupti", "cuda") == "cupti"


@pytest.mark.parametrize(("name", "device"), [("cpu", "cuda"), ("cupti", "cpu"), ("wall", "cpu")])
def test_a_timer_of_another_device_is_refused_with_the_names_that_are_not(name, device):
    allowed = ", ".join(timer for timer, kind in TIMERS.items() if kind == device)
    with pytest.raises(UsageError, match=f"timer '{name}' is not one of those on {device}: {allowed}$"):
        timer_for(name, device)


def test_names_are_known_without_torch():
    code = "import sys, linbench.core.timer; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# CUDA events


def launches(device, n, seconds):
    def call():
        for _ in range(n):
            device.busy(seconds)
        return "o"

    return call


def test_the_spin_hides_the_launches_of_short_kernels(monkeypatch):
    device = FakeDevice()
    call = launches(device, 10, 1e-6)
    assert CudaEventsColdTimer(device).bind(call)().seconds == pytest.approx(10e-6)
    monkeypatch.setattr(device, "spin", lambda _: None)
    assert CudaEventsColdTimer(device).bind(call)().seconds == pytest.approx(10 * LAUNCH_S + LAUNCH_S)


def test_a_host_that_is_slower_than_the_spin_shows():
    device = FakeDevice()

    def call():
        device.think(1e-3)
        device.busy(1e-6)

    assert CudaEventsColdTimer(device).bind(call)().seconds > 0.8e-3


def test_every_sample_is_flushed_waited_for_and_between_its_events_alone():
    device = FakeDevice()
    call = FakeCall(device)
    sample = CudaEventsColdTimer(device).bind(call)

    def keep(returned):
        device.log.append("keep")
        return f"copy of {returned}"

    once = ["flush", "synchronize", "spin_kernel", "event", "kernel", "event"]
    assert sample(keep).returned == f"copy of o{call.buffer}"
    assert device.log == [*once, "keep", "synchronize"]
    device.log.clear()
    found = sample()
    assert device.log == [*once, "synchronize"]
    assert found == Sample(pytest.approx(100 * MISS_S_A_BYTE), False, f"o{call.buffer}", None, 0, None)


def test_without_a_flush_the_input_would_be_in_cache(monkeypatch):
    device = FakeDevice()
    sample = CudaEventsColdTimer(device).bind(FakeCall(device))
    assert [sample().seconds for _ in range(2)] == [pytest.approx(100 * MISS_S_A_BYTE)] * 2
    monkeypatch.setattr(device, "flush", lambda: None)
    assert sample().seconds == pytest.approx(100 * HIT_S_A_BYTE)


def test_an_event_that_was_not_waited_for_cannot_be_read(monkeypatch):
    device = FakeDevice()
    monkeypatch.setattr(device, "synchronize", lambda: None)
    with pytest.raises(NotThere):
        CudaEventsColdTimer(device).bind(FakeCall(device))()


# CUDA graphs


def test_hot_replays_find_their_input_in_cache():
    device = FakeDevice()
    call = FakeCall(device)
    sample = CudaGraphHotTimer(device).bind(call)
    device.log.clear()
    device.cached.clear()
    found = sample(lambda returned: device.log.append("keep") or returned)
    name = f"o{call.buffer}"
    assert device.log == [
        "replay", f"spoil {name}", "synchronize", "spin_kernel", "event",
        *["replay"] * REPLAYS, "event", "keep", "synchronize",
    ]  # fmt: skip
    assert found == Sample(pytest.approx(100 * HIT_S_A_BYTE), False, name, None, 0, None)


@pytest.mark.parametrize("input_bytes", [30, 100, 333, 900, 2000, 10_000])
def test_cold_replays_never_find_their_input_in_cache(input_bytes):
    device = FakeDevice()
    sample = CudaGraphColdTimer(device).bind(FakeCall(device, input_bytes))
    for _ in range(3):
        assert sample().seconds == pytest.approx(input_bytes * MISS_S_A_BYTE)


@pytest.mark.parametrize(("input_bytes", "copies"), [(30, 68), (100, 21), (1999, 3), (2000, 2), (10**6, 2)])
def test_cold_rotates_over_copies_beyond_twice_the_cache(input_bytes, copies):
    device = FakeDevice()
    call = FakeCall(device, input_bytes)
    rotated = CudaGraphColdTimer(device).calls(call)
    assert len(rotated) == copies
    assert (copies - 1) * input_bytes >= 2 * device.l2_bytes
    assert call not in rotated


def test_a_cold_sample_is_of_thirty_calls_at_least_and_gives_back_the_last():
    device = FakeDevice()
    call = FakeCall(device, 2000)
    sample = CudaGraphColdTimer(device).bind(call)
    device.log.clear()
    found = sample()
    assert device.log.count("replay") == 15  # of two calls each
    assert device.log.index("flush") < device.log.index("synchronize") < device.log.index("event")
    assert found.returned == f"o{call.buffer + 2}"
    assert f"spoil {found.returned}" in device.log


def test_a_state_is_put_back_on_every_copy_and_advanced_once_a_sample():
    device = FakeDevice()
    call = FakeCall(device, 2000, advances=True)
    sample = CudaGraphColdTimer(device).bind(call)
    for _ in range(2):
        call.log.clear()
        device.log.clear()
        sample()
        assert [one for _, one in call.log] == [call.buffer + 1 + n for n in range(REPLAYS)]
        assert device.log.count("replay") == 1


def test_what_cannot_be_timed_so_is_refused_and_the_timer_named():
    device = FakeDevice()
    with pytest.raises(CannotTime, match=r"cuda_graph_hot .* use cuda_graph_cold"):
        CudaGraphHotTimer(device).bind(FakeCall(device, advances=True))
    tiny = FakeDevice(l2_bytes=50_000_000)
    with pytest.raises(CannotTime, match="cuda_graph_cold needs 100,001 copies of inputs as small as 1,000"):
        CudaGraphColdTimer(tiny).bind(FakeCall(tiny, 1000))


class Waits(FakeCall):
    def __call__(self):
        self.device.synchronize()

    def rotated(self, n):
        return [Waits(self.device) for _ in range(n)]


class Poor(FakeCall):
    def rotated(self, _):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate it")


class Undone(FakeCall):
    def __call__(self):
        raise NotImplementedError("not in graphs")


@pytest.mark.parametrize(
    ("timer", "kind", "said"),
    [
        (
            CudaGraphHotTimer,
            Waits,
            "cuda_graph_hot cannot capture the call: RuntimeError: operation not",
        ),
        (
            CudaGraphColdTimer,
            Waits,
            "cuda_graph_cold cannot capture the call: RuntimeError: operation not",
        ),
        (
            CudaGraphColdTimer,
            Poor,
            "cuda_graph_cold cannot capture the call: OutOfMemoryError: CUDA out",
        ),
        (CudaGraphHotTimer, Undone, "cuda_graph_hot cannot capture the call: NotImplementedError: not in"),
    ],
)
def test_a_call_that_cannot_be_captured_gives_no_time_and_names_the_timer(timer, kind, said):
    device = FakeDevice()
    with pytest.raises(CannotCapture, match=said) as caught:
        timer(device).bind(kind(device))
    answer = failure(caught.value)
    assert answer == {"status": "oom" if kind is Poor else "unsupported", "reason": str(caught.value)}


# CUPTI


def activity(name, start_ns, duration_ns, correlation):
    return Activity(name, start_ns, duration_ns, correlation)


SPIN = "at::cuda::(anonymous namespace)::spin_kernel(long)"


def test_span_and_sum_are_of_what_was_queued_between_the_markers():
    span_s, kernels_s = times_between_markers(
        [
            activity("fill before", 0, 50, 1),
            activity(SPIN, 100, 900, 3),
            activity("one", 1000, 100, 5),
            activity("Memset (Device)", 1250, 50, 6),
            activity("two", 1400, 100, 8),
            activity(SPIN, 1500, 5, 9),
            activity("copy of the result", 1510, 400, 11),
        ]
    )
    assert span_s == pytest.approx(500e-9)
    assert kernels_s == pytest.approx(250e-9)


def test_a_kernel_of_another_stream_counts_by_when_it_was_queued():
    span_s, kernels_s = times_between_markers(
        [
            activity("late, of the call", 1200, 500, 6),
            activity(SPIN, 1300, 5, 7),
            activity("early, of the copy", 1100, 50, 8),
            activity("one", 1000, 400, 5),
            activity(SPIN, 0, 1000, 4),
        ]
    )
    assert span_s == pytest.approx(700e-9)
    assert kernels_s == pytest.approx(900e-9)  # they overlap


def test_a_spin_of_the_calls_own_is_no_marker():
    spins = [activity(SPIN, 1000 * n, 100, n) for n in range(3)]
    assert times_between_markers(spins) == (pytest.approx(100e-9), pytest.approx(100e-9))


@pytest.mark.parametrize(
    ("activities", "said"),
    [
        ([], "the trace has 0 of the two"),
        ([activity(SPIN, 0, 1, 1), activity("one", 1, 1, 2)], "the trace has 1 of the two"),
        ([activity(SPIN, 0, 1, 1), activity(SPIN, 1, 1, 2)], "ran nothing on the device"),
        ([activity(SPIN, 0, 1, 0), activity("one", 1, 1, 0), activity(SPIN, 1, 1, 0)], "ran nothing"),
    ],
)
def test_a_trace_that_tells_no_time_gives_none(activities, said):
    with pytest.raises(BadTrace, match=said):
        times_between_markers(activities)


def test_only_what_ran_on_the_device_is_taken_of_a_profile():
    def event(name, device, *numbers):
        start_ns, duration_ns, correlation = numbers
        return SimpleNamespace(
            name=lambda: name,
            device_type=lambda: getattr(torch._C._autograd.DeviceType, device),
            start_ns=lambda: start_ns,
            duration_ns=lambda: duration_ns,
            correlation_id=lambda: correlation,
        )

    events = [event("cudaLaunchKernel", "CPU", 1, 2, 7), event("gemm", "CUDA", 10, 5, 7)]
    assert device_activities(events) == [Activity("gemm", 10, 5, 7)]


def test_cupti_tells_what_passed_between_the_kernels():
    device = FakeDevice()

    def call():
        device.busy(100e-6)
        device.think(500e-6)
        device.busy(50e-6)
        return "o"

    def keep(returned):
        device.busy(1.0)
        return f"copy of {returned}"

    sample = CuptiTimer(device).bind(call)
    device.log.clear()
    found = sample(keep)
    assert device.log[:3] == ["flush", "synchronize", "spin_kernel"]
    assert found.returned == "copy of o"
    assert found.kernels_s == pytest.approx(150e-6, abs=2e-9)
    hidden_s = SPIN_CYCLES / SPIN_HZ + 100e-6  # the host thinks while the device spins and runs the first
    assert found.seconds - found.kernels_s == pytest.approx(500e-6 + 2 * LAUNCH_S - hidden_s, abs=2e-9)


def test_cupti_has_no_time_of_a_call_that_does_nothing():
    with pytest.raises(BadTrace, match="cupti has no time of the call: the call ran nothing on the device"):
        CuptiTimer(FakeDevice()).bind(lambda: None)()


# Overhead


def test_overhead_is_the_median_and_resolution_the_least_step():
    ticks = count()
    took = [5, 5, 7, 4, 9]

    def clock_ns():
        tick = next(ticks)
        return 1000 * tick + (took[tick // 2] if tick % 2 else 0) - 1000 * (tick % 2)

    overhead_s, resolution_s = overhead(CpuTimer(clock_ns), lambda: None, samples=5)
    assert overhead_s == pytest.approx(5e-9)
    assert resolution_s == pytest.approx(2e-9)
    steady = count(step=10)
    assert overhead(CpuTimer(lambda: next(steady)), lambda: None, 3) == (pytest.approx(10e-9), 0.0)


def test_overhead_of_the_real_clock_is_small():
    overhead_s, resolution_s = overhead(CpuTimer(), lambda: None)
    assert 0 < overhead_s < 1e-4
    assert 0 < resolution_s < 1e-4


# A device that is there


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("mode", ["fwd", "fwd_bwd", "prefill", "decode"])
@pytest.mark.parametrize("timer", sorted(CUDA_TIMERS))
def test_every_timer_of_a_cuda_device_times_a_right_result(timer, mode):
    registry.load()
    operator, implementation = registry.operator("linear"), registry.implementation("linear/chunk")
    case = operator.complete(Case(2, 1024, 8, 64, 64, "float32", mode, "cuda"))
    laid = LaidInputs(operator, case)
    call = Call(operator, implementation, case, laid)
    taken = timer_for(timer, "cuda")
    if timer == "cuda_graph_hot" and mode == "decode":
        with pytest.raises(CannotTime, match="use cuda_graph_cold"):
            taken.bind(call)
        return
    sample = taken.bind(call)
    for _ in range(3):
        call.prepare()
        found = sample(copied)
        assert 0 < found.seconds < 1
        assert (found.kernels_s is not None) == (timer == "cupti")
    expected = operator.expected(case, laid.canonical)
    assert complaint(errors(call.results(found.returned), expected, operator.budget["float32"])) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("timer", ["cuda_graph_hot", "cuda_graph_cold"])
def test_a_call_that_waits_for_a_cuda_device_is_not_captured(timer):
    registry.load()
    operator, implementation = registry.operator("linear"), registry.implementation("linear/chunk")
    case = operator.complete(Case(1, 1024, 8, 64, 64, "float32", "fwd", "cuda"))

    class Waiting(Call):
        def __call__(self):
            returned = super().__call__()
            returned.sum().item()
            return returned

    call = Waiting(operator, implementation, case, LaidInputs(operator, case))
    with pytest.raises(CannotCapture, match=f"{timer} cannot capture the call"):
        timer_for(timer, "cuda").bind(call)
