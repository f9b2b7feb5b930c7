"""The monitor on counters that are told what to say, and once on this machine."""

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


def told(*counters, gpu=None, card=None):
    script = iter(counters)
    return Monitor(gpu, counters=lambda: next(script), card=card)


def test_a_reading_covers_the_time_since_the_one_before():
    monitor = told(
        Counters(10.0, 100.0, 5.0, 40.0, 7),
        Counters(12.0, 103.0, 5.5, 42.0, 7),
        Counters(13.0, 103.5, 5.5, 40.0, 9),  # a process of ours has ended, and its time with it
    )
    first, second = monitor.read(), monitor.read()
    assert first.span_s == 2.0
    assert first.others_cores == pytest.approx((3.0 - 2.0) / 2.0)
    assert first.steal_cores == pytest.approx(0.25)
    assert first.cpu_throttles == 0
    assert (second.span_s, second.others_cores, second.steal_cores) == (1.0, 0.5, 0.0)
    assert second.cpu_throttles == 2


def test_a_card_is_read_by_its_uuid():
    asked = []

    def card(reading, uuid):
        asked.append(uuid)
        return replace(reading, gpu_sm_mhz=1980.0, gpu_throttles=("power cap",), gpu_others=1)

    counters = [Counters(0.0, 0.0, 0.0, 0.0), Counters(1.0, 0.0, 0.0, 0.0)]
    reading = told(*counters, gpu="GPU-1", card=card).read()
    assert asked == ["GPU-1"]
    assert (reading.gpu_sm_mhz, reading.gpu_w) == (1980.0, None)
    assert reading.cpu_throttles is None
    assert (reading.gpu_throttles, reading.gpu_others) == (("power cap",), 1)


def test_what_disturbs_is_named():
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


def test_what_holds_clocks_down_is_named():
    assert throttle_reasons([]) == ()
    assert throttle_reasons([Reading(1.0, 1.0, cpu_throttles=0)]) == ()
    hot = Reading(1.0, 1.0, cpu_throttles=1, gpu_throttles=("power cap",))
    assert throttle_reasons([hot, hot]) == ("power cap", "processor too hot")


def test_a_mask_names_what_holds_clocks_down_and_not_that_nothing_runs():
    import pynvml

    idle = pynvml.nvmlClocksThrottleReasonGpuIdle | pynvml.nvmlClocksThrottleReasonApplicationsClocksSetting
    assert throttle_names(idle) == ()
    assert throttle_names(idle | pynvml.nvmlClocksThrottleReasonHwThermalSlowdown) == (
        "hardware thermal slowdown",
    )


def test_a_summary_has_the_lowest_the_middle_and_the_highest():
    found = summary(
        [
            Reading(1.0, load, gpu_w=watts, gpu_throttles=why)
            for load, watts, why in ((1, 300.0, ()), (2.00005, None, ("power cap",)), (6, 100.0, ()))
        ]
    )
    assert found["load"] == Range(1, 2, 6)  # four digits
    assert found["gpu_w"] == Range(100, 200, 300)
    assert "gpu_throttles" not in found  # which are no numbers
    assert "cpu_throttles" not in found
    assert summary([]) == {}


def test_a_reading_is_kept_with_four_digits():
    reading = Reading(1.23456, 0.0, cpu_mhz=2099.96, cpu_throttles=12345, gpu_throttles=("power cap",))
    due = Reading(1.235, 0.0, cpu_mhz=2100.0, cpu_throttles=12345, gpu_throttles=("power cap",))
    assert rounded(reading) == due


@pytest.mark.serial  # it reads what the machine is doing
def test_a_process_of_ours_is_told_from_another_here():
    spin = [
        sys.executable,
        "-c",
        "while True: pass",
    ]
    before = host_counters()
    child = subprocess.Popen(spin)
    try:
        deadline = time.monotonic() + timeout_s(15)
        while host_counters().ours_s - before.ours_s < 0.3:
            assert time.monotonic() < deadline, "the child's time is not ours"
            time.sleep(0.05)
        now = host_counters()
        assert now.busy_s - before.busy_s >= 0.25
        assert now.clock_s > before.clock_s
    finally:
        child.kill()
        child.wait()
    assert Monitor().read().load >= 0
    assert len(os.sched_getaffinity(0)) >= 1
