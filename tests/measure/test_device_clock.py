"""The device clock, on a device with events in float32 milliseconds, as in CUDA."""

import numpy as np
import pytest
from fake_device import FakeDevice

from linbench.core.gpu import visible_gpus
from linbench.measure.clock import DeviceClock
from linbench.measure.device import CudaDevice


class Rounding(FakeDevice):
    def elapsed_s(self, start, end):
        return float(np.float32(super().elapsed_s(start, end) * 1e3)) * 1e-3


@pytest.fixture
def device():
    return Rounding()


def test_it_waits_for_queued_work_and_includes_its_time(device):
    clock = DeviceClock(device)
    start = clock()
    device.busy(2e-3)
    assert device.now_s < 1e-3  # the host does not wait
    elapsed = clock() - start
    assert elapsed == pytest.approx(2e-3, rel=0.02)
    assert device.now_s >= 2e-3


def test_it_keeps_its_resolution_for_hours(device):
    clock = DeviceClock(device)
    for _ in range(100):
        device.think(100.0)
        clock()
    start = clock()
    device.busy(10e-6)
    elapsed = clock() - start
    assert elapsed == pytest.approx(10e-6 + 5e-6, abs=2e-7)  # including the launch, which the device awaits


def test_it_is_monotonic(device):
    clock = DeviceClock(device)
    times = [clock() for _ in range(50)]
    assert times == sorted(times)


@pytest.mark.gpu
@pytest.mark.skipif(not visible_gpus(), reason="no CUDA device")
def test_it_agrees_with_two_events_on_a_cuda_device():
    device = CudaDevice()
    clock = DeviceClock(device)
    for _ in range(2):  # the first spin compiles
        start = clock()
        device.spin(20_000_000)
        elapsed = clock() - start
    before = device.record()
    device.spin(20_000_000)
    after = device.record()
    device.synchronize()
    assert elapsed == pytest.approx(device.elapsed_s(before, after), rel=0.05)
