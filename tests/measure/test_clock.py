"""The device clock, on a device whose events tell float32 milliseconds, as CUDA's do."""

import numpy as np
import pytest
from fake_device import FakeDevice

from linbench.measure.clock import DeviceClock


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
