"""How many processes each decision takes, and which results fail a gate, with synthetic rounds."""

import math
import random
from dataclasses import replace

import pytest

from linbench.compare.suite import ComparisonResult, compare
from linbench.compare.turns import Comparison, FullCheckResult, Rounds, SideFailed
from linbench.core.case import Case
from linbench.core.measurement import Memory, Status
from linbench.execution.messages import ExpectedValues
from linbench.execution.schedule import Job
from linbench.report import comparison as report

OK = FullCheckResult(
    Status.OK, None, {"o": 1e-7}, Memory(10_000, 4_000, "allocator"), ExpectedValues({}, {}, {})
)


def comparisons(count):
    jobs = [Job("linear/x", "linear", Case(1, 16 * (1 + index), 1, 4, 4)) for index in range(count)]
    return [Comparison(job, job) for job in jobs]


class Turns:
    """Yields processes for each case whose log-ratios scatter around an effect."""

    def __init__(self, effects, noise=0.002, b=OK, fails_after=None, mhz=None):
        self.effects = effects
        self.mhz = mhz
        self.noise = noise
        self.b = b
        self.fails_after = fails_after
        self.processes_by_length = {}
        self.source = random.Random(0)

    def full_check(self, comparison):
        del comparison
        return OK, self.b

    def processes(self, comparison, full_checks, before_turn):
        assert full_checks == (OK, self.b)
        before_turn()
        batches = self.processes_by_length.setdefault(comparison.a.case.T, [])
        batches.append(0)
        while True:
            if batches[-1] == self.fails_after:
                raise SideFailed(1, Status.CRASHED, "ended by SIGSEGV")
            batches[-1] += 1
            effect = self.effects.get(comparison.a.case.T, 0.0)
            ratio = math.log1p(effect) + self.source.gauss(0, self.noise)
            clocks = [[mhz] * 24 for mhz in self.mhz or ()]
            yield Rounds([ratio] * 12, [1e-3] * 24, [1e-3 * math.exp(ratio)] * 24, *clocks)


def test_a_clear_case_needs_ten_processes():
    turns = Turns({16: 0.05})
    (result,) = compare(turns, comparisons(1))
    assert (result.answer, result.regressions, result.decision.processes) == ("slower", ("slower",), 10)
    assert result.b_s / result.a_s == pytest.approx(1.05, abs=0.002)
    assert turns.processes_by_length == {16: [10]}


@pytest.mark.parametrize(("effect", "answer"), [(-0.05, "faster"), (0.0, "same")])
def test_faster_and_the_same_are_no_regression(effect, answer):
    (result,) = compare(Turns({16: effect}), comparisons(1))
    assert (result.answer, result.regressions, result.is_open) == (answer, (), False)


def test_a_noisy_case_takes_all_28_processes_and_stays_undecided():
    turns = Turns({}, noise=0.2)
    (result,) = compare(turns, comparisons(1))
    assert (result.answer, result.is_open, result.regressions) == ("undecided", True, ())
    assert turns.processes_by_length == {16: [28]}


def test_many_cases_are_screened_with_8_processes_and_confirmed_with_24_new_ones():
    turns = Turns({32: 0.05})
    results = {result.comparison.a.case.T: result for result in compare(turns, comparisons(5))}
    assert turns.processes_by_length[32] == [8, 24]
    assert results[32].regressions == ("slower",)
    assert results[32].decision.processes == len(results[32].processes) == 24
    unchanged = [turns.processes_by_length[t] for t in results if t != 32]
    assert all(batches[0] == 8 for batches in unchanged)
    assert [8] in unchanged
    assert not any(result.regressions for t, result in results.items() if t != 32)


def test_a_side_that_fails_while_timed_has_a_status_and_no_decision():
    (result,) = compare(Turns({}, fails_after=3), comparisons(1))
    assert (result.answer, result.decision, result.a_s) == ("crashed", None, None)
    assert result.regressions == ("crashed",)
    assert result.b.reason == "ended by SIGSEGV"
    results = list(compare(Turns({16: 0.05, 32: 0.05}, fails_after=9), comparisons(4)))
    assert len(results) == 4
    assert sorted(result.answer for result in results)[:2] == ["crashed", "crashed"]


def test_a_side_that_is_not_ok_is_not_timed():
    turns = Turns({}, b=FullCheckResult(Status.WRONG, "off"))
    (result,) = compare(turns, comparisons(1))
    assert (result.answer, result.regressions, turns.processes_by_length) == ("wrong", ("wrong",), {})


@pytest.mark.parametrize(
    ("effect", "mhz", "in_cycles", "label"),
    [
        (0.05, (1980, 1980 / 1.05), 0.0, True),  # the clock explains all of it
        (0.05, (1980, 1980 / 1.03), 1.05 / 1.03 - 1, False),  # 2% remain
        (-0.05, (1980 * 0.95, 1980), 0.0, True),
        (-0.05, (1980, 1980), -0.05, False),
        (0.05, (1980, 1500), 1.05 * 1500 / 1980 - 1, True),  # fewer cycles, but slower
        (0.0, (1980, 1500), 1500 / 1980 - 1, False),  # no difference in time to explain
        (0.05, None, None, False),
    ],
)
def test_a_time_difference_without_a_difference_in_cycles_is_labelled_clock(effect, mhz, in_cycles, label):
    (result,) = compare(Turns({16: effect}, mhz=mhz), comparisons(1))
    assert result.clock is label
    assert result.to_json()["clock"] is label
    assert (result.mhz, result.to_json()["mhz_b"]) == (mhz, mhz and mhz[1])
    assert result.in_cycles == (None if in_cycles is None else pytest.approx(in_cycles, abs=0.003))
    assert result.regressions == (("slower",) if effect > 0 else ())  # the label does not change the answer
    assert ("(clock: " in report.line(result)) is label


def test_the_label_has_the_clock_of_both_sides():
    (result,) = compare(Turns({16: 0.05}, noise=1e-5, mhz=(1980, 1890)), comparisons(1))
    assert report.effect(result) == "+5.0% [+5.0, +5.0] (clock: +0.2% in cycles, 1,980 \u2192 1,890 MHz)"


def side(status=Status.OK, extra=4_000, error=1e-7, meter="allocator"):
    memory = Memory(extra, extra, meter) if status is Status.OK else None
    return FullCheckResult(status, None, {"o": error}, memory)


@pytest.mark.parametrize(
    ("a", "b", "change", "regressions"),
    [
        (side(), side(extra=4_001), 0, ()),  # rounding
        (side(), side(extra=4_200), 200, ("heavier",)),
        (side(), side(extra=3_000), -1_000, ()),
        (side(extra=0), side(extra=64), 0, ()),
        (side(extra=10**9, meter="rss"), side(extra=10**9 + 10**7, meter="rss"), 0, ()),
        (side(extra=10**9, meter="rss"), side(extra=10**9 + 10**8, meter="rss"), 10**8, ("heavier",)),
        (side(extra=10**6, meter="rss"), side(extra=2 * 10**6, meter="rss"), 0, ()),
        (side(extra=10**6, meter="rss"), side(extra=10**9), 0, ()),  # different meters
        (side(Status.UNSUPPORTED), side(), 0, ()),
        (side(Status.WRONG), side(Status.WRONG), 0, ()),
        (side(), side(Status.OOM), 0, ("oom",)),
        (side(), side(Status.UNSUPPORTED), 0, ()),
    ],
)
def test_memory_and_status_are_compared(a, b, change, regressions):
    result = ComparisonResult(comparisons(1)[0], a, b)
    assert (result.memory_change_bytes, result.regressions) == (change, regressions)


def test_a_changed_error_is_reported_but_is_no_regression():
    result = ComparisonResult(comparisons(1)[0], side(), side(error=1.1e-7))
    assert result.changed_errors == {"o": (1e-7, 1.1e-7)}
    assert result.regressions == ()
    assert replace(result, b=side(error=1.0001e-7)).changed_errors == {}
