"""Timeouts follow the load of the machine: never shorter than on an idle one, and always limited."""

import os

import pytest
import timeouts


@pytest.mark.parametrize(
    ("factor", "load", "cores", "expected_s"),
    [
        (1.0, 0.1, 2, 60.0),
        (1.0, 6.0, 2, 180.0),
        (2.5, 0.0, 2, 150.0),
        (2.5, 4.0, 2, 300.0),
        (0.5, 0.0, 2, 60.0),
        (9.0, 90.0, 2, 1200.0),
    ],
)
def test_a_timeout_is_longer_on_a_slow_or_busy_machine(monkeypatch, factor, load, cores, expected_s):
    monkeypatch.setenv(timeouts.VARIABLE, str(factor))
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert timeouts.timeout_s(60) == pytest.approx(expected_s)


def test_the_machine_is_calibrated_once(monkeypatch):
    monkeypatch.delenv(timeouts.VARIABLE)
    clock = iter([0.0, 3 * timeouts.IDLE_WORK_S])
    monkeypatch.setattr(timeouts.time, "perf_counter", lambda: next(clock))
    assert timeouts.calibrate() == timeouts.calibrate() == pytest.approx(3.0)
