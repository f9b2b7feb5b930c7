"""Which processes are taken for which verdict, and what a gate fails for, over made-up rounds."""

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
from linbench.report import comparison as words

OK = FullCheckResult(
    Status.OK, None, {"o": 1e-7}, Memory(10_000, 4_000, "allocator"), ExpectedValues({}, {}, {})
)


def comparisons(number):
    jobs = [Job("linear/x", "linear", Case(1, 16 * (1 + place), 1, 4, 4)) for place in range(number)]
    return [Comparison(job, job) for job in jobs]


class Turns:
    """Gives each case processes whose log-ratios scatter around an effect."""

    def __init__(self, effects, noise=0.002, b=OK, ends_after=None, mhz=None):
        self.effects = effects
        self.mhz = mhz
        self.noise = noise
        self.b = b
        self.ends_after = ends_after
        self.taken = {}
        self.source = random.Random(0)

    def full_check(self, comparison):
        del comparison
        return OK, self.b

    def processes(self, comparison, full_checks, doing):
        assert full_checks == (OK, self.b)
        doing()
        batch = self.taken.setdefault(comparison.a.case.T, [])
        batch.append(0)
        while True:
            if batch[-1] == self.ends_after:
                raise SideFailed(1, Status.CRASHED, "ended by SIGSEGV")
            batch[-1] += 1
            effect = self.effects.get(comparison.a.case.T, 0.0)
            ratio = math.log1p(effect) + self.source.gauss(0, self.noise)
            clocks = [[mhz] * 24 for mhz in self.mhz or ()]
            yield Rounds([ratio] * 12, [1e-3] * 24, [1e-3 * math.exp(ratio)] * 24, *clocks)


def test_a_clear_case_needs_ten_processes():
    turns = Turns({16: 0.05})
    (found,) = compare(turns, comparisons(1))
    assert (found.answer, found.regressions, found.decision.processes) == ("slower", ("slower",), 10)
    assert found.b_s / found.a_s == pytest.approx(1.05, abs=0.002)
    assert turns.taken == {16: [10]}


@pytest.mark.parametrize(("effect", "answer"), [(-0.05, "faster"), (0.0, "same")])
def test_faster_and_the_same_are_no_regression(effect, answer):
    (found,) = compare(Turns({16: effect}), comparisons(1))
    assert (found.answer, found.regressions, found.is_open) == (answer, (), False)


def test_noise_asks_for_all_28_and_stays_undecided():
    turns = Turns({}, noise=0.2)
    (found,) = compare(turns, comparisons(1))
    assert (found.answer, found.is_open, found.regressions) == ("undecided", True, ())
    assert turns.taken == {16: [28]}


def test_many_cases_are_screened_with_8_and_confirmed_with_a_fresh_24():
    turns = Turns({32: 0.05})
    found = {each.comparison.a.case.T: each for each in compare(turns, comparisons(5))}
    assert turns.taken[32] == [8, 24]
    assert found[32].regressions == ("slower",)
    assert found[32].decision.processes == len(found[32].processes) == 24
    others = [turns.taken[t] for t in found if t != 32]
    assert all(batches[0] == 8 for batches in others)
    assert [8] in others
    assert not any(each.regressions for t, each in found.items() if t != 32)


def test_a_side_that_ends_while_timed_is_a_status_and_has_no_verdict():
    (found,) = compare(Turns({}, ends_after=3), comparisons(1))
    assert (found.answer, found.decision, found.a_s) == ("crashed", None, None)
    assert found.regressions == ("crashed",)
    assert found.b.reason == "ended by SIGSEGV"
    many = list(compare(Turns({16: 0.05, 32: 0.05}, ends_after=9), comparisons(4)))
    assert len(many) == 4
    assert sorted(each.answer for each in many)[:2] == ["crashed", "crashed"]


def test_what_is_not_ok_is_not_timed():
    turns = Turns({}, b=FullCheckResult(Status.WRONG, "off"))
    (found,) = compare(turns, comparisons(1))
    assert (found.answer, found.regressions, turns.taken) == ("wrong", ("wrong",), {})


@pytest.mark.parametrize(
    ("effect", "mhz", "in_cycles", "label"),
    [
        (0.05, (1980, 1980 / 1.05), 0.0, True),  # all of it is the clock
        (0.05, (1980, 1980 / 1.03), 1.05 / 1.03 - 1, False),  # 2% are not
        (-0.05, (1980 * 0.95, 1980), 0.0, True),
        (-0.05, (1980, 1980), -0.05, False),
        (0.05, (1980, 1500), 1.05 * 1500 / 1980 - 1, True),  # fewer cycles, and slower all the same
        (0.0, (1980, 1500), 1500 / 1980 - 1, False),  # no difference in time to explain
        (0.05, None, None, False),
    ],
)
def test_a_difference_in_time_that_is_none_in_cycles_is_labelled_clock(effect, mhz, in_cycles, label):
    (found,) = compare(Turns({16: effect}, mhz=mhz), comparisons(1))
    assert found.clock is label
    assert found.to_json()["clock"] is label
    assert (found.mhz, found.to_json()["mhz_b"]) == (mhz, mhz and mhz[1])
    assert found.in_cycles == (None if in_cycles is None else pytest.approx(in_cycles, abs=0.003))
    assert found.regressions == (("slower",) if effect > 0 else ())  # seconds are waited for
    assert ("(clock: " in words.line(found)) is label


def test_the_label_has_the_clock_of_both_sides():
    (found,) = compare(Turns({16: 0.05}, noise=1e-5, mhz=(1980, 1890)), comparisons(1))
    assert words.effect(found) == "+5.0% [+5.0, +5.0] (clock: +0.2% in cycles, 1,980 \u2192 1,890 MHz)"


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
        (side(extra=10**6, meter="rss"), side(extra=10**9), 0, ()),  # two meters
        (side(Status.UNSUPPORTED), side(), 0, ()),
        (side(Status.WRONG), side(Status.WRONG), 0, ()),
        (side(), side(Status.OOM), 0, ("oom",)),
        (side(), side(Status.UNSUPPORTED), 0, ()),
    ],
)
def test_memory_and_status_are_judged(a, b, change, regressions):
    found = ComparisonResult(comparisons(1)[0], a, b)
    assert (found.memory_change_bytes, found.regressions) == (change, regressions)


def test_an_error_beyond_rounding_is_reported_and_fails_nothing():
    found = ComparisonResult(comparisons(1)[0], side(), side(error=1.1e-7))
    assert found.changed_errors == {"o": (1e-7, 1.1e-7)}
    assert found.regressions == ()
    assert replace(found, b=side(error=1.0001e-7)).changed_errors == {}
