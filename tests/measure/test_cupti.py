"""The timer by CUPTI, on synthetic traces and a simulated device."""

from types import SimpleNamespace

import pytest
import torch
from fake_device import LAUNCH_S, SPIN_HZ, FakeDevice

from linbench.measure.timers import SPIN_CYCLES, CuptiTimer
from linbench.measure.trace import Activity, BadTrace, device_activities, times_between_markers


def activity(name, start_ns, duration_ns, correlation):
    return Activity(name, start_ns, duration_ns, correlation)


SPIN = "at::cuda::(anonymous namespace)::spin_kernel(long)"


def test_span_and_sum_cover_the_activities_queued_between_the_markers():
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


def test_a_kernel_on_another_stream_counts_by_the_time_it_was_queued():
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


def test_a_spin_kernel_of_the_call_itself_is_not_a_marker():
    spins = [activity(SPIN, 1000 * n, 100, n) for n in range(3)]
    assert times_between_markers(spins) == (pytest.approx(100e-9), pytest.approx(100e-9))


@pytest.mark.parametrize(
    ("activities", "message"),
    [
        ([], "the trace has 0 of the two"),
        ([activity(SPIN, 0, 1, 1), activity("one", 1, 1, 2)], "the trace has 1 of the two"),
        ([activity(SPIN, 0, 1, 1), activity(SPIN, 1, 1, 2)], "ran nothing on the device"),
        ([activity(SPIN, 0, 1, 0), activity("one", 1, 1, 0), activity(SPIN, 1, 1, 0)], "ran nothing"),
    ],
)
def test_a_trace_without_a_valid_time_is_rejected(activities, message):
    with pytest.raises(BadTrace, match=message):
        times_between_markers(activities)


def test_only_activities_on_the_device_are_read_from_a_profile():
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


def test_cupti_measures_the_time_between_the_kernels():
    device = FakeDevice()

    def call():
        device.busy(100e-6)
        device.think(500e-6)
        device.busy(50e-6)
        return "o"

    def keep(returned):
        device.busy(1.0)
        return f"copy of {returned}"

    sample = CuptiTimer(device, device.clock_ns).bind(call)
    device.log.clear()
    samples, returned = sample(keep)
    assert device.log[:3] == ["flush", "synchronize", "spin_kernel"]
    assert returned == "copy of o"
    assert samples.kernels_s == (pytest.approx(150e-6, abs=2e-9),)
    assert samples.enqueue_s == (pytest.approx(500e-6 + 2 * LAUNCH_S, abs=2e-9),)
    hidden_s = SPIN_CYCLES / SPIN_HZ + 100e-6  # the host thinks while the device spins and runs the first
    between_s = samples.time_s[0] - samples.kernels_s[0]
    assert between_s == pytest.approx(500e-6 + 2 * LAUNCH_S - hidden_s, abs=2e-9)


def test_cupti_cannot_time_a_call_that_does_nothing():
    with pytest.raises(BadTrace, match="cupti cannot time the call: the call ran nothing on the device"):
        CuptiTimer(FakeDevice()).bind(lambda: None)()
