"""The CPU timer and the scheduler counters: wall time, processor time, context switches and contention."""

import os
import subprocess
import sys
import time

import pytest
import torch

from linbench.core.samples import Samples
from linbench.measure.scheduling import SchedulerCounters, contended, scheduler_counters
from linbench.measure.timers import CpuTimer


def counters(switches=0, thread_switches=0, thread_cpu_s=0.0, thread_waited_s=0.0):
    return SchedulerCounters(switches, thread_switches, thread_cpu_s, thread_waited_s)


def test_the_cpu_timer_reads_its_clocks_around_the_call_alone():
    events = []

    def logged(name, *values):
        values = iter(values)

        def next_value():
            events.append(name)
            return next(values)

        return next_value

    def call():
        events.append("call")
        return 1

    def keep(returned):
        events.append("keep")
        return returned + 1

    timer = CpuTimer(
        logged("clock", 1_000, 5_000),
        logged("process", 2_000, 9_000),
        logged("scheduler_counters", counters(3), counters(5)),
    )
    samples, returned = timer.bind(call)(keep)
    assert events == [
        "scheduler_counters",
        "process",
        "clock",
        "call",
        "clock",
        "process",
        "keep",
        "scheduler_counters",
    ]
    assert returned == 2
    assert samples == Samples(
        (pytest.approx(4e-6),), cpu_s=(pytest.approx(7e-6),), switches=(2,), contended=(0,)
    )


def test_the_cpu_time_is_that_of_all_threads():
    x = torch.rand(600, 600)
    threads = torch.get_num_threads()
    samples, _ = CpuTimer().bind(lambda: [x @ x for _ in range(20)])()
    assert 0 < samples.cpu_s[0] <= samples.time_s[0] * threads * 1.5


@pytest.mark.serial  # it bounds processor time
def test_sleep_takes_no_cpu_time():
    samples, _ = CpuTimer().bind(lambda: time.sleep(0.05))()
    assert samples.time_s[0] >= 0.05
    assert samples.cpu_s[0] < 0.02


@pytest.mark.parametrize(
    ("after", "wall_s", "is_contended"),
    [
        (counters(9, 1, 0.9, 0.05), 1.0, True),
        (counters(9, 0, 0.9, 0.05), 1.0, False),  # another thread was switched out
        (counters(9, 1, 0.9, 0.02), 1.0, False),  # it waited for no more than 2%
        (counters(9, 1, 0.2, 0.0), 1.0, False),  # it slept voluntarily
        (counters(9, 1, 0.2, None), 1.0, True),  # the kernel does not report waiting: sleep counts as such
        (counters(9, 0, 0.2, None), 1.0, False),
        (counters(9, 1, 0.99, None), 1.0, False),
    ],
)
def test_a_call_is_contended_if_the_thread_was_preempted_and_waited(after, wall_s, is_contended):
    assert contended(counters(), after, wall_s) is is_contended


def test_without_schedstat_the_waiting_time_is_none(tmp_path):
    assert scheduler_counters(tmp_path / "none").thread_waited_s is None
    (tmp_path / "empty").write_text("")
    assert scheduler_counters(tmp_path / "empty").thread_waited_s is None
    (tmp_path / "one").write_text("7 2000000000 3\n")
    assert scheduler_counters(tmp_path / "one").thread_waited_s == pytest.approx(2)


@pytest.mark.serial  # it shares a processor with a busy process
def test_a_busy_process_on_the_same_processor_is_detected():
    before = os.sched_getaffinity(0)
    processor = {min(before)}

    def work():
        return sum(range(3_000_000))

    os.sched_setaffinity(0, processor)
    busy = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE
    )
    try:
        busy.stdout.readline()
        sample = CpuTimer().bind(work)
        samples = Samples.join(sample()[0] for _ in range(5))
    finally:
        busy.kill()
        busy.communicate()
        os.sched_setaffinity(0, before)
    assert any(samples.contended)
    disturbed = samples.contended.index(1)
    assert samples.switches[disturbed] >= 1
    assert samples.cpu_s[disturbed] < samples.time_s[disturbed]
