"""The timer by CUDA events, on a simulated device."""

import pytest
from fake_device import HIT_S_PER_BYTE, LAUNCH_S, MISS_S_PER_BYTE, FakeCall, FakeDevice, NotReached

from linbench.core.samples import Samples
from linbench.measure.timers import CudaEventsColdTimer


def seconds(sample):
    """Return the time of one call."""
    return sample()[0].time_s[0]


def launches(device, n, kernel_s):
    def call():
        for _ in range(n):
            device.busy(kernel_s)
        return "o"

    return call


def test_the_spin_kernel_hides_the_launch_overhead_of_short_kernels(monkeypatch):
    device = FakeDevice()
    call = launches(device, 10, 1e-6)
    assert seconds(CudaEventsColdTimer(device).bind(call)) == pytest.approx(10e-6)
    monkeypatch.setattr(device, "spin", lambda _: None)
    assert seconds(CudaEventsColdTimer(device).bind(call)) == pytest.approx(10 * LAUNCH_S + LAUNCH_S)


def test_a_host_slower_than_the_spin_kernel_adds_to_the_time():
    device = FakeDevice()

    def call():
        device.think(1e-3)
        device.busy(1e-6)

    assert seconds(CudaEventsColdTimer(device).bind(call)) > 0.8e-3


def test_every_sample_flushes_synchronises_and_has_only_the_call_between_its_events():
    device = FakeDevice()
    call = FakeCall(device)
    sample = CudaEventsColdTimer(device, device.clock_ns).bind(call)

    def keep(returned):
        device.log.append("keep")
        return f"copy of {returned}"

    steps = ["flush", "synchronize", "spin_kernel", "event", "kernel", "event"]
    assert sample(keep)[1] == f"copy of o{call.buffer}"
    assert device.log == [*steps, "keep", "synchronize"]
    device.log.clear()
    samples, returned = sample()
    assert device.log == [*steps, "synchronize"]
    assert returned == f"o{call.buffer}"
    assert samples == Samples(
        (pytest.approx(100 * MISS_S_PER_BYTE),), enqueue_s=(pytest.approx(LAUNCH_S, abs=2e-9),)
    )


def test_the_enqueue_time_is_the_host_time_of_the_call_alone():
    device = FakeDevice()

    def call():
        device.think(1e-3)
        device.busy(0.1)

    samples, _ = CudaEventsColdTimer(device, device.clock_ns).bind(call)()
    assert samples.enqueue_s == (pytest.approx(1e-3 + LAUNCH_S, abs=2e-9),)
    assert samples.time_s[0] > 0.1


def test_without_a_flush_the_input_would_be_in_cache(monkeypatch):
    device = FakeDevice()
    sample = CudaEventsColdTimer(device).bind(FakeCall(device))
    assert [seconds(sample) for _ in range(2)] == [pytest.approx(100 * MISS_S_PER_BYTE)] * 2
    monkeypatch.setattr(device, "flush", lambda: None)
    assert seconds(sample) == pytest.approx(100 * HIT_S_PER_BYTE)


def test_an_event_cannot_be_read_before_synchronising(monkeypatch):
    device = FakeDevice()
    monkeypatch.setattr(device, "synchronize", lambda: None)
    with pytest.raises(NotReached):
        CudaEventsColdTimer(device).bind(FakeCall(device))()
