"""Rounds: the number of rounds and which are repeated, with fake workers and a fake monitor."""

from dataclasses import replace

import pytest
from fake_worker import CHECK_RESULT, FakeWorker, default_answer, expected_values, timing_result

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
    """Fake workers and a fake monitor: each turn returns the samples and the reading of the next script."""

    def __init__(self, turns, call_s=0.001):
        self.turns = iter(turns)
        self.call_s = call_s
        self.names = []
        self.memory_requests = 0
        self.reading = CALM

    def spawn(self, _):
        return FakeWorker(self.answer)

    def monitor(self, _):
        return self

    age_s = 0.0

    def read(self):
        reading, self.reading = self.reading, CALM
        return reading

    def answer(self, request):
        match request:
            case PrepareCase(expected_values=None):
                return ExpectedResult(expected_values(o=0.5))
            case FullCheck():
                memory = Memory(2, 1, "allocator") if self.call_s < 2 else None
                return replace(CHECK_RESULT, call_s=self.call_s, memory=memory)
            case MeasureMemory():
                self.memory_requests += 1
                return MemoryResult(Memory(9, 8, "rss"))
            case TimeCalibration():
                assert request == TimeCalibration("cpu", "cpu")
                return timing_result(0.5, 9.0, 0.25)
            case TakeTurn():
                time_s, self.reading, contended = next(self.turns)
                self.names.append(request.implementation)
                marks = (1,) * contended + (0,) * (len(time_s) - contended)
                zeros = (0,) * len(time_s)
                return TimingResult(Samples(time_s, cpu_s=time_s, switches=zeros, contended=marks))
        return default_answer(request)


@pytest.fixture
def measure(monkeypatch):
    def run(turns, implementations=("linear/chunk",), call_s=0.001, **changes):
        machine = Machine(turns, call_s)
        monkeypatch.setattr(runner, "spawn", machine.spawn)
        monkeypatch.setattr(runner, "Monitor", machine.monitor)
        settings = replace(Settings(processes=3, min_time_s=0.6, max_time_s=0.6), **changes)
        schedule = api.plan_run(
            None, impl=implementations, device="cpu", settings=settings, axes=Axes(T=[64])
        )
        with runner.Runner(api.registry, schedule) as schedule_runner:
            (rows,) = schedule_runner.measure()
        return rows, machine

    return run


def steady(number, reading=CALM, contended=0):
    return [((1.0,) * 10, reading, contended)] * number


def test_a_steady_row_needs_two_rounds_in_each_of_three_processes(measure):
    (row,), machine = measure(steady(100), max_time_s=60.0)
    assert row.time.processes == (20, 20, 20)
    assert len(machine.names) == 6
    assert row.flags == ()
    assert row.telemetry.rounds_again == 0
    assert row.telemetry.before.load == 1.0
    assert row.approximation == {"o": 0.5}
    assert row.time.calibration_median_s == 0.5


def test_a_process_measures_until_its_median_is_settled_or_the_time_is_spent(measure):
    wide = [((1.0, 1.5) * 5, CALM, 0)] * 100
    (row,), machine = measure(wide, max_time_s=1.2)
    assert row.time.processes == (40, 40, 40)  # twice --min-time
    assert len(machine.names) == 12
    (row,), _ = measure(wide, max_time_s=0.6)
    assert row.time.processes == (20, 20, 20)


def test_a_disturbed_round_is_repeated_as_a_whole(measure):
    turns = [((9.0,) * 10, CALM, 0), ((9.0,) * 10, BUSY, 0), *steady(100)]
    rows, machine = measure(turns, ("linear/chunk", "linear/naive"))
    assert sorted(machine.names[:2]) == sorted(machine.names[2:4]) == ["linear/chunk", "linear/naive"]
    for row in rows:
        assert set(row.time.samples.time_s) == {1.0}
        assert row.telemetry.rounds_again == 1
        assert row.flags == ()


def test_rounds_with_contended_calls_are_repeated_at_most_three_times(measure):
    (row,), machine = measure(steady(100, contended=3))
    assert len(machine.names) == 6 + 3
    assert row.telemetry.rounds_again == 3
    assert row.time.processes == (20, 20, 20)
    assert row.flags == ("contended",)


def test_a_round_with_few_contended_calls_is_not_repeated(measure):
    (row,), machine = measure(steady(100, contended=2))
    assert len(machine.names) == 6
    assert row.flags == ()


def test_a_long_call_has_its_memory_from_a_new_process_and_no_repeated_rounds(measure):
    (row,), machine = measure([((30.0,), BUSY, 0)] * 3, call_s=30.0)
    assert machine.memory_requests == 1
    assert row.memory.meter == "rss"
    assert row.memory.extra_bytes == 8
    assert row.telemetry.rounds_again == 0
    assert row.flags == ("contended",)
