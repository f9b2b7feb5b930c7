"""Turns with fake workers: order, limits, checks of results, and sides that fail."""

import math
from dataclasses import replace

import pytest
from fake_worker import CHECK_RESULT, MEMORY, Script, expected_values, hello, timing_result

from linbench.compare import turns as module
from linbench.compare.turns import Comparison, SideFailed, Turns
from linbench.core.case import Case
from linbench.core.measurement import Status
from linbench.core.plan import Settings
from linbench.execution.client import WorkerLost
from linbench.execution.messages import (
    CheckTurn,
    ExpectedResult,
    Failure,
    FullCheck,
    MeasureMemory,
    PrepareCase,
    TakeTurn,
)
from linbench.execution.process import Launch
from linbench.execution.schedule import Job

CASE = Case(1, 16, 1, 4, 4)
PAIR = Comparison(Job("linear/a", "linear", CASE), Job("linear/b", "linear", CASE))
GIB = 2**30


@pytest.fixture
def workers(monkeypatch):
    """The script of the workers that `Turns` forks."""
    script = Script(hello(["linear/a", "linear/b"]))

    class Zygote:
        def __init__(self, launch):
            del launch

        def fork(self, launch):
            return script.start(launch.plugins)

        def end(self):
            pass

    monkeypatch.setattr(module, "Zygote", Zygote)
    return script


def make_turns(two_workers=False, **clock):
    launches = [Launch(("a",), GIB), Launch(("b",), GIB)] if two_workers else [Launch((), GIB)]
    return Turns(launches, "cpu", Settings(timer="cpu"), **clock)


def one_process(two_workers=False, **clock):
    with make_turns(two_workers, **clock) as turns:
        full_checks = turns.full_check(PAIR)
        assert [side.status for side in full_checks] == ["ok", "ok"]
        return next(turns.processes(PAIR, full_checks))


def steady(seconds):
    return lambda: timing_result(seconds)


def test_rounds_have_both_mirrored_orders_and_yield_the_log_ratio(workers):
    workers.say(TakeTurn, "linear/a", steady(1e-3))
    workers.say(TakeTurn, "linear/b", steady(1.1e-3))
    assert one_process().log_ratios == pytest.approx([math.log(1.1)] * 12)  # settled at the minimum
    sequence = [turn.implementation[-1] for turn in workers.of(TakeTurn)]
    orders = {"".join(sequence[start : start + 4]) for start in range(0, len(sequence), 4)}
    assert orders == {"abba", "baab"}


def test_the_clock_is_read_at_the_end_of_each_turn_and_stored_for_its_side(workers):
    def clock_mhz():
        last = workers.of(TakeTurn)[-1]
        assert workers.log[-1] is last or isinstance(workers.log[-1].request, CheckTurn)
        return {"linear/a": 1980.0, "linear/b": 1755.0}[last.implementation]

    rounds = one_process(clock_mhz=clock_mhz)
    assert (rounds.a_mhz, rounds.b_mhz) == ([1980.0] * 24, [1755.0] * 24)
    without_clock = one_process()
    assert (without_clock.a_mhz, without_clock.b_mhz) == ([], [])


def test_a_drift_within_a_round_cancels(workers):
    clock = iter(range(10_000))
    for name in ("linear/a", "linear/b"):
        workers.say(TakeTurn, name, lambda: timing_result(1e-3 * 1.01 ** next(clock)))
    assert one_process().log_ratios == pytest.approx([0.0] * 12, abs=1e-12)


def test_a_process_ends_after_2_s_or_40_rounds(workers):
    noisy = iter(1e-3 * (1 + number % 3) for number in range(10_000))
    workers.say(TakeTurn, "linear/b", lambda: timing_result(next(noisy)))
    assert len(one_process().log_ratios) == 40
    noisy = iter(0.02 * (1 + number % 3) for number in range(10_000))
    workers.say(TakeTurn, "linear/a", steady(0.02))
    rounds = one_process()
    timed_s = sum(rounds.a_s) + sum(rounds.b_s)
    assert 12 < len(rounds.log_ratios) < 40
    assert 2.0 <= timed_s < 2.0 + 4 * 0.06
    for name in ("linear/a", "linear/b"):
        workers.say(TakeTurn, name, steady(9.0))
    assert len(one_process().log_ratios) == 12


def test_two_launches_have_separate_workers_and_their_first_and_last_results_are_checked(workers):
    one_process(two_workers=True)
    by_worker = {turn.worker: turn.implementation for turn in workers.of(TakeTurn)}
    assert sorted(by_worker.values()) == ["linear/a", "linear/b"]
    for number, name in by_worker.items():
        requests = [type(entry.request) for entry in workers.log if entry.worker == number]
        assert requests[2:] == [*[TakeTurn, CheckTurn] * 2, *[TakeTurn] * 22, CheckTurn], name


def test_every_process_is_fresh_and_has_ended_before_its_rounds_are_yielded(workers):
    with make_turns() as turns:
        source = turns.processes(PAIR, turns.full_check(PAIR))
        for number in range(1, 4):
            next(source)
            assert len(workers.fakes) == 1 + number
            assert all(worker.ended for worker in workers.fakes)


def test_a_wrong_result_of_a_timed_call_fails_its_side(workers):
    workers.say(CheckTurn, "linear/b", lambda: Failure(Status.WRONG, "right at first"))
    with pytest.raises(SideFailed, match="right at first") as failure:
        one_process()
    assert (failure.value.side, failure.value.status) == (1, Status.WRONG)
    assert all(worker.ended for worker in workers.fakes)


def test_a_crash_in_a_turn_fails_its_side(workers):
    def crash():
        raise WorkerLost(Status.CRASHED, "ended by SIGSEGV")

    workers.say(TakeTurn, "linear/a", crash)
    with pytest.raises(SideFailed, match="SIGSEGV") as failure:
        one_process()
    assert (failure.value.side, failure.value.status) == (0, Status.CRASHED)


def full_check(workers, two_workers=True, **about):
    workers.about |= about
    with make_turns(two_workers) as turns:
        return turns.full_check(PAIR)


def test_a_missing_implementation_and_a_broken_plugin_are_reported(workers):
    a, b = full_check(workers, a=hello(), b=hello(mine="ImportError: no"))
    assert (a.status, a.reason) == (Status.UNSUPPORTED, "there is no implementation linear/a")
    assert (b.status, b.reason) == (Status.ERROR, "plugin mine is broken: ImportError: no")
    assert not workers.of(PrepareCase)


def test_a_wrong_side_does_not_affect_the_other(workers):
    workers.say(FullCheck, "linear/b", lambda: Failure(Status.WRONG, "o is off"))
    a, b = full_check(workers)
    assert (a.status, a.memory, a.errors) == (Status.OK, MEMORY, {"o": 1e-7})
    assert (b.status, b.reason, b.memory) == (Status.WRONG, "o is off", None)


def test_references_that_differ_beyond_rounding_are_an_error(workers):
    workers.say(PrepareCase, "b", lambda: ExpectedResult(expected_values((1.0, 2.0 + 1e-12))))
    assert [side.status for side in full_check(workers)] == ["ok", "ok"]
    workers.say(PrepareCase, "b", lambda: ExpectedResult(expected_values((1.0, 2.1))))
    a, b = full_check(workers)
    assert (a.status, b.status) == (Status.OK, Status.ERROR)
    assert b.reason.startswith(
        "the two sides do not compute the same: their references differ in o by up to 0.1"
    )


def test_the_memory_of_a_long_call_is_measured_in_a_separate_process(workers):
    workers.say(FullCheck, "linear/a", lambda: replace(CHECK_RESULT, call_s=9.0))
    a, b = full_check(workers, two_workers=False)
    assert a.memory == b.memory == MEMORY
    (memory,) = workers.of(MeasureMemory)
    assert memory.implementation == "linear/a"
    requests = [type(entry.request) for entry in workers.log if entry.worker == memory.worker]
    assert requests == [PrepareCase, MeasureMemory]
