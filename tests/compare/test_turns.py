"""Turns over made-up workers: order, bounds, what is judged, and what becomes of a side that ends."""

import math
from typing import ClassVar

import pytest

from linbench.compare import turns as module
from linbench.compare.turns import Comparison, Ended, Turns
from linbench.core.case import Case
from linbench.core.measurement import Status
from linbench.core.plan import Settings
from linbench.execution.process import Launch, WorkerLost
from linbench.execution.schedule import Job

CASE = Case(1, 16, 1, 4, 4)
PAIR = Comparison(Job("linear/a", "linear", CASE), Job("linear/b", "linear", CASE))
MEMORY = {"peak_bytes": 10, "extra_bytes": 4, "meter": "allocator"}
GIB = 2**30


def oracle(values=(1.0, 2.0)):
    return {"sample": {"o": {"values": list(values)}}, "budgets": {}, "approximation": {}}


class Worker:
    """A worker that answers as it is told, and notes in a log what it was asked."""

    def __init__(self, number, launch, script, log):
        self.number = number
        self.script = script
        self.log = log
        self.ended = False
        names = ["linear/a", "linear/b"]
        self.about = {"implementations": names, "broken": {}} | script.get(("about", *launch.plugins), {})
        self.plugins = launch.plugins

    def ask(self, message, timeout_s, watch=None):
        del timeout_s, watch
        assert not self.ended
        name, do = message.get("implementation"), message["do"]
        self.log.append((self.number, do, name, message))
        answer = self.script.get((do, name), self.script.get((do, *self.plugins)))
        if callable(answer):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            answer = {
                "open": {"oracle": oracle() if message.get("oracle") is None else None},
                "check": {"errors": {"o": {"rel_l2": 1e-7}}, "call_s": 1e-3, "memory": MEMORY},
                "turn": {"samples_s": [1e-3]},
                "weigh": {"memory": MEMORY},
            }.get(do, {})
        return {"status": Status.OK, "reason": None} | answer

    def end(self):
        self.ended = True


@pytest.fixture
def workers(monkeypatch):
    """Make `Turns` over workers that follow a script; its log and workers are kept."""

    class Zygote:
        made: ClassVar = []
        log: ClassVar = []
        script: ClassVar = {}

        def __init__(self, launch):
            del launch

        def fork(self, launch):
            worker = Worker(len(self.made), launch, self.script, self.log)
            self.made.append(worker)
            return worker

        def end(self):
            pass

    monkeypatch.setattr(module, "Zygote", Zygote)
    return Zygote


def turns(two=False, **clock):
    launches = [Launch(("a",), GIB), Launch(("b",), GIB)] if two else [Launch((), GIB)]
    return Turns(launches, "cpu", Settings(timer="cpu"), **clock)


def one_process(two=False, **clock):
    with turns(two, **clock) as made:
        studied = made.study(PAIR)
        assert [side.status for side in studied] == ["ok", "ok"]
        return next(made.processes(PAIR, studied))


def steady(seconds):
    return lambda: {"samples_s": [seconds]}


def test_rounds_are_mirrored_both_ways_and_give_the_log_ratio(workers):
    workers.script |= {("turn", "linear/a"): steady(1e-3), ("turn", "linear/b"): steady(1.1e-3)}
    found = one_process()
    assert found.log_ratios == pytest.approx([math.log(1.1)] * 12)  # settled at the least
    asked = [name[-1] for _, do, name, _ in workers.log if do == "turn"]
    rounds = {"".join(asked[place : place + 4]) for place in range(0, len(asked), 4)}
    assert rounds == {"abba", "baab"}


def test_the_clock_is_read_as_each_turn_ends_and_kept_with_its_side(workers):
    def clock_mhz():
        _, do, name, _ = workers.log[-1]
        assert do == "turn"
        return {"linear/a": 1980.0, "linear/b": 1755.0}[name]

    found = one_process(clock_mhz=clock_mhz)
    assert (found.a_mhz, found.b_mhz) == ([1980.0] * 24, [1755.0] * 24)
    without = one_process()
    assert (without.a_mhz, without.b_mhz) == ([], [])


def test_a_drift_within_a_round_cancels(workers):
    clock = iter(range(10_000))
    workers.script["turn", "linear/a"] = lambda: {"samples_s": [1e-3 * 1.01 ** next(clock)]}
    workers.script["turn", "linear/b"] = lambda: {"samples_s": [1e-3 * 1.01 ** next(clock)]}
    assert one_process().log_ratios == pytest.approx([0.0] * 12, abs=1e-12)


def test_rounds_end_after_2_s_or_40_of_them(workers):
    noisy = iter(1e-3 * (1 + number % 3) for number in range(10_000))
    workers.script["turn", "linear/b"] = lambda: {"samples_s": [next(noisy)]}
    assert len(one_process().log_ratios) == 40
    noisy = iter(0.02 * (1 + number % 3) for number in range(10_000))
    workers.script |= {
        ("turn", "linear/a"): steady(0.02),
        ("turn", "linear/b"): lambda: {"samples_s": [next(noisy)]},
    }
    found = one_process()
    timed_s = sum(found.a_s) + sum(found.b_s)
    assert 12 < len(found.log_ratios) < 40
    assert 2.0 <= timed_s < 2.0 + 4 * 0.06
    workers.script |= {("turn", "linear/a"): steady(9.0), ("turn", "linear/b"): steady(9.0)}
    assert len(one_process().log_ratios) == 12


def test_two_launches_have_a_worker_each_and_the_first_and_last_results_are_judged(workers):
    one_process(two=True)
    by_worker = {number: name for number, do, name, _ in workers.log if do == "turn"}
    assert sorted(by_worker.values()) == ["linear/a", "linear/b"]
    for number, name in by_worker.items():
        mine = [(do, message) for asked, do, _, message in workers.log if asked == number]
        turns_of = [message["later"] for do, message in mine if do == "turn"]
        assert turns_of == [False, False, *[True] * 22], name
        assert mine[-1][0] == "judge"


def test_every_process_is_fresh_and_ended_before_it_is_handed_out(workers):
    with turns() as made:
        source = made.processes(PAIR, made.study(PAIR))
        for number in range(1, 4):
            next(source)
            assert len(workers.made) == 1 + number
            assert all(worker.ended for worker in workers.made)


def test_what_a_timed_call_got_wrong_ends_its_side(workers):
    workers.script["judge", "linear/b"] = {"status": Status.WRONG, "reason": "right at first"}
    with pytest.raises(Ended, match="right at first") as ended:
        one_process()
    assert (ended.value.side, ended.value.status) == (1, Status.WRONG)
    assert all(worker.ended for worker in workers.made)


def test_a_crash_in_a_turn_ends_its_side(workers):
    workers.script["turn", "linear/a"] = WorkerLost(Status.CRASHED, "ended by SIGSEGV")
    with pytest.raises(Ended, match="SIGSEGV") as ended:
        one_process()
    assert (ended.value.side, ended.value.status) == (0, Status.CRASHED)


def study(workers, two=True, **about):
    workers.script |= {("about", side): found for side, found in about.items()}
    with turns(two) as made:
        return made.study(PAIR)


def test_a_side_that_lacks_the_implementation_or_whose_plugin_is_broken_says_so(workers):
    broken = {"implementations": [], "broken": {"mine": "ImportError: no"}}
    a, b = study(workers, a={"implementations": []}, b=broken)
    assert (a.status, a.reason) == (Status.UNSUPPORTED, "there is no implementation linear/a")
    assert (b.status, b.reason) == (Status.ERROR, "plugin mine is broken: ImportError: no")
    assert not [do for _, do, _, _ in workers.log if do == "open"]


def test_one_side_that_is_wrong_leaves_the_other(workers):
    workers.script["check", "linear/b"] = {"status": Status.WRONG, "reason": "o is off"}
    a, b = study(workers)
    assert (a.status, a.memory.extra_bytes, a.errors) == (Status.OK, 4, {"o": 1e-7})
    assert (b.status, b.reason, b.memory) == (Status.WRONG, "o is off", None)


def test_oracles_that_differ_are_no_comparison_and_rounding_is_none(workers):
    workers.script["open", "a"] = {"oracle": oracle()}
    workers.script["open", "b"] = {"oracle": oracle((1.0, 2.0 + 1e-12))}
    assert [side.status for side in study(workers)] == ["ok", "ok"]
    workers.script["open", "b"] = {"oracle": oracle((1.0, 2.1))}
    a, b = study(workers)
    assert (a.status, b.status) == (Status.OK, Status.ERROR)
    assert b.reason.startswith(
        "the two sides do not compute the same: their oracles differ in o by up to 0.1"
    )


def test_a_long_call_is_weighed_in_a_process_of_its_own(workers):
    long = {"errors": {"o": {"rel_l2": 1e-7}}, "call_s": 9.0}
    workers.script["check", "linear/a"] = long
    a, _ = study(workers, two=False)
    assert a.memory.extra_bytes == 4
    weighed = [number for number, do, _, _ in workers.log if do == "weigh"]
    assert [do for number, do, _, _ in workers.log if number in weighed] == ["open", "weigh"]
