"""The device clock, on a device whose events tell float32 milliseconds, as CUDA's do."""

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


def test_it_tells_the_time_of_what_was_queued_and_waits_for_it(device):
    clock = DeviceClock(device)
    start = clock()
    device.busy(2e-3)
    assert device.now_s < 1e-3  # the host goes on
    took = clock() - start
    assert took == pytest.approx(2e-3, rel=0.02)
    assert device.now_s >= 2e-3


def test_it_is_as_fine_after_hours(device):
    clock = DeviceClock(device)
    for _ in range(100):
        device.think(100.0)
        clock()
    start = clock()
    device.busy(10e-6)
    took = clock() - start
    assert took == pytest.approx(10e-6 + 5e-6, abs=2e-7)  # and the launch, for which the device waited


def test_it_never_goes_back(device):
    clock = DeviceClock(device)
    read = [clock() for _ in range(50)]
    assert read == sorted(read)


@pytest.mark.gpu
@pytest.mark.skipif(not visible_gpus(), reason="no CUDA device")
def test_on_a_cuda_device_it_agrees_with_two_events():
    device = CudaDevice()
    clock = DeviceClock(device)
    for _ in range(2):  # the first spin compiles
        start = clock()
        device.spin(20_000_000)
        took = clock() - start
    before = device.record()
    device.spin(20_000_000)
    after = device.record()
    device.synchronize()
    assert took == pytest.approx(device.elapsed_s(before, after), rel=0.05)
