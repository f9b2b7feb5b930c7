"""The monitor on scripted counters, and once on this machine."""

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from timeouts import timeout_s

from linbench.core.telemetry import Range, Reading
from linbench.measure.telemetry import (
    Counters,
    Monitor,
    disturbance,
    host_counters,
    rounded,
    summary,
    throttle_names,
    throttle_reasons,
)


def monitor_of(*counters, gpu=None, card=None):
    script = iter(counters)
    return Monitor(gpu, counters=lambda: next(script), card=card)


def test_a_reading_covers_the_time_since_the_previous_one():
    monitor = monitor_of(
        Counters(10.0, 100.0, 5.0, 40.0, 7),
        Counters(12.0, 103.0, 5.5, 42.0, 7),
        Counters(13.0, 103.5, 5.5, 40.0, 9),  # a process of the run has ended, and its time is gone
    )
    first, second = monitor.read(), monitor.read()
    assert first.span_s == 2.0
    assert first.others_cores == pytest.approx((3.0 - 2.0) / 2.0)
    assert first.steal_cores == pytest.approx(0.25)
    assert first.cpu_throttles == 0
    assert (second.span_s, second.others_cores, second.steal_cores) == (1.0, 0.5, 0.0)
    assert second.cpu_throttles == 2


def test_a_gpu_is_read_by_its_uuid():
    uuids = []

    def card(reading, uuid):
        uuids.append(uuid)
        return replace(reading, gpu_sm_mhz=1980.0, gpu_throttles=("power cap",), gpu_others=1)

    counters = [Counters(0.0, 0.0, 0.0, 0.0), Counters(1.0, 0.0, 0.0, 0.0)]
    reading = monitor_of(*counters, gpu="GPU-1", card=card).read()
    assert uuids == ["GPU-1"]
    assert (reading.gpu_sm_mhz, reading.gpu_w) == (1980.0, None)
    assert reading.cpu_throttles is None
    assert (reading.gpu_throttles, reading.gpu_others) == (("power cap",), 1)


def test_disturbance_names_its_source():
    calm = [Reading(1.0, 1.0, others_cores=0.1)]
    assert disturbance([], 2) is None
    assert disturbance(calm, 2) is None
    assert (
        disturbance([*calm, Reading(3.0, 1.0, others_cores=1.0)], 2)
        == "other processes used 0.78 of 2 processors"
    )
    assert disturbance([Reading(1.0, 1.0, steal_cores=0.5)], 2) == "the hypervisor used 0.5 of 2 processors"
    assert disturbance([Reading(0.01, 1.0, others_cores=8.0)], 2) is None  # one tick of a coarse counter
    assert disturbance([Reading(1.0, 1.0, gpu_others=2)], 2) == "2 other processes computed on the GPU"


def test_throttle_reasons_are_named_once():
    assert throttle_reasons([]) == ()
    assert throttle_reasons([Reading(1.0, 1.0, cpu_throttles=0)]) == ()
    hot = Reading(1.0, 1.0, cpu_throttles=1, gpu_throttles=("power cap",))
    assert throttle_reasons([hot, hot]) == ("power cap", "processor too hot")


def test_throttle_names_of_a_mask_omit_idleness():
    import pynvml

    idle = pynvml.nvmlClocksThrottleReasonGpuIdle | pynvml.nvmlClocksThrottleReasonApplicationsClocksSetting
    assert throttle_names(idle) == ()
    assert throttle_names(idle | pynvml.nvmlClocksThrottleReasonHwThermalSlowdown) == (
        "hardware thermal slowdown",
    )


def test_a_summary_has_the_lowest_the_median_and_the_highest():
    ranges = summary(
        [
            Reading(1.0, load, gpu_w=watts, gpu_throttles=reasons)
            for load, watts, reasons in ((1, 300.0, ()), (2.00005, None, ("power cap",)), (6, 100.0, ()))
        ]
    )
    assert ranges["load"] == Range(1, 2, 6)  # four digits
    assert ranges["gpu_w"] == Range(100, 200, 300)
    assert "gpu_throttles" not in ranges  # not numbers
    assert "cpu_throttles" not in ranges
    assert summary([]) == {}


def test_a_reading_is_rounded_to_four_digits():
    reading = Reading(1.23456, 0.0, cpu_mhz=2099.96, cpu_throttles=12345, gpu_throttles=("power cap",))
    expected = Reading(1.235, 0.0, cpu_mhz=2100.0, cpu_throttles=12345, gpu_throttles=("power cap",))
    assert rounded(reading) == expected


@pytest.mark.serial  # it reads the load of the machine
def test_the_time_of_a_child_process_counts_as_that_of_the_run():
    spin = [
        sys.executable,
        "-c",
        "while True: pass",
    ]
    before = host_counters()
    child = subprocess.Popen(spin)
    try:
        deadline = time.monotonic() + timeout_s(15)
        while host_counters().run_s - before.run_s < 0.3:
            assert time.monotonic() < deadline, "the time of the child is not counted"
            time.sleep(0.05)
        now = host_counters()
        assert now.busy_s - before.busy_s >= 0.25
        assert now.clock_s > before.clock_s
    finally:
        child.kill()
        child.wait()
    assert Monitor().read().load >= 0
    assert len(os.sched_getaffinity(0)) >= 1
