"""Rounds: which are taken, which are measured again, by workers and a machine that are told what to say."""

from dataclasses import replace

import pytest
from fake_worker import CHECKED, FakeWorker, expected_values, timed, usual

from linbench import api
from linbench.core.grid import Axes
from linbench.core.measurement import Memory
from linbench.core.plan import Settings
from linbench.core.samples import Samples
from linbench.core.telemetry import Reading
from linbench.execution import runner
from linbench.execution.messages import (
    ExpectedResult,
    FullCheck,
    MeasureMemory,
    MemoryResult,
    PrepareCase,
    TakeTurn,
    TimeCalibration,
    TimingResult,
)

CALM, BUSY = Reading(1.0, 1.0), Reading(1.0, 1.0, others_cores=8.0)


class Machine:
    """Stands for workers and the monitor: each turn gives the next script's samples and reading."""

    def __init__(self, turns, call_s=0.001):
        self.turns, self.call_s, self.taken, self.memory_asked, self.reading = (
            iter(turns),
            call_s,
            [],
            0,
            CALM,
        )

    def spawn(self, _):
        return FakeWorker(self.answer)

    def monitor(self, _):
        return self

    age_s = 0.0

    def read(self):
        found, self.reading = self.reading, CALM
        return found

    def answer(self, request):
        match request:
            case PrepareCase(expected_values=None):
                return ExpectedResult(expected_values(o=0.5))
            case FullCheck():
                memory = Memory(2, 1, "allocator") if self.call_s < 2 else None
                return replace(CHECKED, call_s=self.call_s, memory=memory)
            case MeasureMemory():
                self.memory_asked += 1
                return MemoryResult(Memory(9, 8, "rss"))
            case TimeCalibration():
                assert request == TimeCalibration("cpu", "cpu")
                return timed(0.5, 9.0, 0.25)
            case TakeTurn():
                time_s, self.reading, contended = next(self.turns)
                self.taken.append(request.implementation)
                marks = (1,) * contended + (0,) * (len(time_s) - contended)
                zeros = (0,) * len(time_s)
                return TimingResult(Samples(time_s, cpu_s=time_s, switches=zeros, contended=marks))
        return usual(request)


@pytest.fixture
def measured(monkeypatch):
    def measure(turns, implementations=("linear/chunk",), call_s=0.001, **settings):
        machine = Machine(turns, call_s)
        monkeypatch.setattr(runner, "spawn", machine.spawn)
        monkeypatch.setattr(runner, "Monitor", machine.monitor)
        asked = replace(Settings(processes=3, min_time_s=0.6, max_time_s=0.6), **settings)
        schedule = api.plan_run(None, impl=implementations, device="cpu", settings=asked, axes=Axes(T=[64]))
        with runner.Runner(api.registry, schedule) as found:
            (rows,) = found.measure()
        return rows, machine

    return measure


def steady(number, reading=CALM, contended=0):
    return [((1.0,) * 10, reading, contended)] * number


def test_two_rounds_in_each_of_three_processes_are_enough_for_a_steady_row(measured):
    (row,), machine = measured(steady(100), max_time_s=60.0)
    assert row.time.processes == (20, 20, 20)
    assert len(machine.taken) == 6
    assert row.flags == ()
    assert row.telemetry.rounds_again == 0
    assert row.telemetry.before.load == 1.0
    assert row.approximation == {"o": 0.5}
    assert row.time.calibration_median_s == 0.5


def test_a_process_goes_on_until_its_median_is_known_or_the_time_is_up(measured):
    wide = [((1.0, 1.5) * 5, CALM, 0)] * 100
    (row,), machine = measured(wide, max_time_s=1.2)
    assert row.time.processes == (40, 40, 40)  # twice --min-time
    assert len(machine.taken) == 12
    (row,), _ = measured(wide, max_time_s=0.6)
    assert row.time.processes == (20, 20, 20)


def test_a_round_that_others_disturbed_is_measured_again_whole(measured):
    turns = [((9.0,) * 10, CALM, 0), ((9.0,) * 10, BUSY, 0), *steady(100)]
    rows, machine = measured(turns, ("linear/chunk", "linear/naive"))
    assert sorted(machine.taken[:2]) == sorted(machine.taken[2:4]) == ["linear/chunk", "linear/naive"]
    for row in rows:
        assert set(row.time.samples.time_s) == {1.0}
        assert row.telemetry.rounds_again == 1
        assert row.flags == ()


def test_a_round_with_contended_calls_is_measured_again_at_most_three_times(measured):
    (row,), machine = measured(steady(100, contended=3))
    assert len(machine.taken) == 6 + 3
    assert row.telemetry.rounds_again == 3
    assert row.time.processes == (20, 20, 20)
    assert row.flags == ("contended",)


def test_a_few_contended_calls_are_no_reason(measured):
    (row,), machine = measured(steady(100, contended=2))
    assert len(machine.taken) == 6
    assert row.flags == ()


def test_a_long_call_is_weighed_apart_and_never_measured_again(measured):
    (row,), machine = measured([((30.0,), BUSY, 0)] * 3, call_s=30.0)
    assert machine.memory_asked == 1
    assert row.memory.meter == "rss"
    assert row.memory.extra_bytes == 8
    assert row.telemetry.rounds_again == 0
    assert row.flags == ("contended",)
