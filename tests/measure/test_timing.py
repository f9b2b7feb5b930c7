"""Warm-up, turns and timers, on a clock of our own."""

import math

import pytest

from linbench.measure.sampling import take_turn, warm_up
from linbench.measure.timers import CpuTimer, Sample


class Clock:
    """A clock that only a call moves."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Scripted:
    """A call, and the timer of it, that takes the next of the times it was given; the last for ever."""

    name = "scripted"

    def __init__(self, clock, *times):
        self.clock, self.times, self.prepared, self.n = clock, list(times), 0, 0

    def prepare(self):
        self.prepared += 1

    def __call__(self):
        took = self.times.pop(0) if len(self.times) > 1 else self.times[0]
        self.clock.now += took
        self.n += 1
        return took

    def sample(self, call, keep=lambda returned: returned):
        start = self.clock.now
        returned = call()
        return Sample(self.clock.now - start, took_long(returned), keep(returned))


def took_long(seconds):
    return seconds > 5


def test_warm_up_ends_when_two_windows_agree():
    clock = Clock()
    call = Scripted(clock, 9, 5, 5, 2, 2, 2, 1, 1, 1)
    assert warm_up(call, call, cap_s=math.inf, clock=clock) == 1
    assert call.n == 12  # 5, 2, 1 and 1 are the medians of its windows
    assert call.prepared == 12


def test_warm_up_of_a_steady_call_takes_two_windows():
    clock = Clock()
    call = Scripted(clock, 1)
    assert warm_up(call, call, cap_s=math.inf, clock=clock) == 1
    assert call.n == 6


def test_warm_up_stops_at_its_cap():
    clock = Clock()
    call = Scripted(clock, *[2.0**-n for n in range(40)])
    warm_up(call, call, cap_s=1.9, clock=clock)
    assert call.n == 5  # 1 + 1/2 + 1/4 + 1/8 + 1/16 is beyond 1.9
    call = Scripted(clock, 10)
    assert warm_up(call, call, cap_s=0, clock=clock) == 10
    assert call.n == 1


def turn_of(call, budget_s=10.0, max_samples=1000):
    return take_turn(call, call, budget_s, max_samples, call.times[0], clock=call.clock)


def test_a_turn_spends_its_budget():
    call = Scripted(Clock(), 1)
    turn = turn_of(call)
    assert turn.samples_s == [1] * 10
    assert turn.last == 1
    assert call.prepared == 10


def test_a_turn_takes_one_sample_at_least_and_no_more_than_it_may():
    assert turn_of(Scripted(Clock(), 1000)).samples_s == [1000]
    assert len(turn_of(Scripted(Clock(), 0.001), max_samples=7).samples_s) == 7


def test_disturbed_samples_are_counted():
    turn = turn_of(Scripted(Clock(), 1, 6, 1, 1, 1), budget_s=20)
    assert turn.samples_s[:4] == [1, 6, 1, 1]
    assert turn.contended == 1


def test_the_cpu_timer_reads_its_clock_around_the_call_alone():
    ticks = iter([1_000, 5_000])
    sample = CpuTimer(clock_ns=lambda: next(ticks)).sample(lambda: "returned")
    assert sample.seconds == pytest.approx(4e-6)
    assert sample.returned == "returned"
    assert not sample.contended
