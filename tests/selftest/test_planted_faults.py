"""The planted faults show by state and not by time, so that the speed of the machine does not matter."""

import gc
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from linbench.core.registry import registry
from linbench.selftest import faults
from linbench.selftest.faults import FAULTS, PLANTED, find_faults


@pytest.fixture
def planted():
    """The functions of the planted implementations, by name."""
    registry.load([PLANTED])
    names = [fault.implementation for fault in FAULTS]
    return {name.partition("/")[2]: registry.implementation(name).functions["fwd"] for name in names}


@pytest.fixture
def tensors():
    return [torch.ones(1, 4, 1, 2) for _ in range(3)]


def test_what_a_fault_leaves_does_not_grow_with_the_number_of_calls(planted, tensors, monkeypatch):
    starts = []

    def start(*arguments, **options):
        starts.append(arguments or options)
        return SimpleNamespace(start=lambda: None)

    module = planted["leaves-a-thread"].__globals__
    monkeypatch.setitem(module, "threading", SimpleNamespace(Thread=start))
    monkeypatch.setitem(module, "subprocess", SimpleNamespace(Popen=start))
    for name in ("leaves-a-thread", "leaves-a-child"):
        starts.clear()
        for _ in range(20):
            planted[name](*tensors)
        assert len(starts) == 1


def test_a_fault_that_shows_when_timed_does_not_count_calls(planted, tensors):
    expected = planted["good"](*tensors)
    for _ in range(50):
        assert torch.equal(planted["tires"](*tensors), expected)
    gc.disable()  # as a turn does
    try:
        assert not planted["tires"](*tensors).any()
    finally:
        gc.enable()


def test_only_the_fault_that_hangs_has_a_short_time_limit():
    limits = {fault.name: fault.timeout_s for fault in FAULTS}
    assert limits.pop("hangs") <= 5
    assert min(limits.values()) >= 600


def test_an_unsteady_time_does_not_extend_the_run_of_a_fault():
    assert faults.SETTINGS.max_time_s == faults.SETTINGS.min_time_s


def test_a_child_process_that_is_about_to_end_is_not_left_over(monkeypatch):
    duration = str(faults.NAP_S + faults.os.getpid())
    listings = [[["sleep", duration]], [["sleep", duration], None], [[]]]

    def processes(_):
        return [SimpleNamespace(info={"cmdline": arguments}) for arguments in listings.pop(0)]

    monkeypatch.setattr(faults.psutil, "process_iter", processes)
    assert not faults.is_child_left()
    assert not listings


def test_a_child_process_that_stays_is_left_over(monkeypatch):
    duration = str(faults.NAP_S + faults.os.getpid())
    processes = [SimpleNamespace(info={"cmdline": ["sleep", duration]})]
    monkeypatch.setattr(faults.psutil, "process_iter", lambda _: processes)
    monkeypatch.setattr(faults, "END_S", 0.2)
    start = time.monotonic()
    assert faults.is_child_left()
    assert time.monotonic() - start >= 0.2


@pytest.mark.serial  # its busy processes would disturb other tests
def test_a_left_thread_is_no_fault_on_a_busy_machine():
    fault = next(fault for fault in FAULTS if fault.name == "leaves-a-thread")
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        findings = [finding for _ in range(3) for finding in find_faults([fault])]
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert [finding.caught for finding in findings] == [True] * 3, findings
