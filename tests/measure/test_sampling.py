"""A turn of timed calls, by a clock that is told what to say."""

from itertools import count

import torch

from linbench.measure.sampling import take_turn
from linbench.measure.timers import CpuTimer, Sample, as_it_is


class FakeCall:
    def __init__(self):
        self.prepared = 0

    def prepare(self):
        self.prepared += 1

    def __call__(self):
        return torch.full((2,), float(self.prepared))


class FakeTimer:
    name = "fake"

    def __init__(self, *seconds):
        self.seconds = list(seconds)
        self.kept = []

    def sample(self, call, keep=as_it_is):
        self.kept.append(keep is not as_it_is)
        return Sample(self.seconds[min(len(self.kept), len(self.seconds)) - 1], False, keep(call()))


def turn(timer, budget_s, call_s, max_samples=100):
    return take_turn(FakeCall(), timer, budget_s, max_samples, call_s, clock=lambda: 0.0)


def test_only_the_last_result_is_copied_and_it_is_the_last():
    timer = FakeTimer(1.0)
    found = turn(timer, 5.0, 1.0)
    assert found.samples_s == [1.0] * 5
    assert timer.kept == [False] * 4 + [True]
    assert found.last.tolist() == [5.0, 5.0]


def test_a_call_known_to_be_longer_than_the_budget_is_copied_at_once():
    timer = FakeTimer(20.0)
    assert turn(timer, 5.0, 20.0).samples_s == [20.0]
    assert timer.kept == [True]


def test_the_last_of_the_samples_asked_for_is_copied_at_once():
    timer = FakeTimer(1e-6)
    assert len(turn(timer, 5.0, 1e-6, max_samples=7).samples_s) == 7
    assert timer.kept == [False] * 6 + [True]


def test_the_last_before_the_wall_bound_is_copied_at_once():
    timer, ticks = FakeTimer(1e-6), count()
    found = take_turn(FakeCall(), timer, 2.0, 100, 1e-6, clock=lambda: float(next(ticks)))
    assert len(found.samples_s) == 8
    assert timer.kept == [False] * 7 + [True]


def test_a_timer_keeps_what_it_is_asked_to_after_the_clock_has_stopped():
    events = []

    def clock_ns():
        events.append("clock")
        return len(events) * 1_000_000_000

    def keep(returned):
        events.append("keep")
        return returned + 1

    sample = CpuTimer(clock_ns).sample(lambda: 1, keep)
    assert events == ["clock", "clock", "keep"]
    assert (sample.seconds, sample.returned) == (1.0, 2)
