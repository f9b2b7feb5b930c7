"""Warm-up and turns of timed calls, with a clock that only a call advances."""

import gc
import math
from itertools import count

import torch

from linbench.core.samples import Samples
from linbench.measure.sampling import take_turn, warm_up
from linbench.measure.timers import identity


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Scripted:
    """A call, and its timer, with the durations of a list; the last one repeats."""

    name = "scripted"

    def __init__(self, clock, *times, bind_s=0.0):
        self.clock, self.times, self.bind_s, self.prepared, self.n = clock, list(times), bind_s, 0, 0
        self.copies = []

    def prepare(self):
        self.prepared += 1

    def __call__(self):
        self.clock.now += self.times.pop(0) if len(self.times) > 1 else self.times[0]
        self.n += 1
        return torch.full((2,), float(self.n))

    def bind(self, call):
        self.clock.now += self.bind_s

        def sample(keep=identity):
            self.copies.append(keep is not identity)
            start = self.clock.now
            returned = call()
            duration = self.clock.now - start
            return Samples((duration,), contended=(int(duration > 5),), **self.channels()), keep(returned)

        return sample

    def channels(self):
        return {}


class EveryChannel(Scripted):
    """A timer that fills every channel."""

    def channels(self):
        n = self.n
        return {"cpu_s": (10.0 * n,), "switches": (n,), "kernels_s": (100.0 * n,), "enqueue_s": (0.5 * n,)}


def turn_of(call, duration_s=10.0, max_samples=1000):
    return take_turn(call, call, duration_s, max_samples, call.times[0], clock=call.clock)


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
    call = Scripted(clock, *[2.0**-n for n in range(40)], bind_s=50)
    warm_up(call, call, cap_s=1.9, clock=clock)
    assert call.n == 5  # 1 + 1/2 + 1/4 + 1/8 + 1/16 is beyond 1.9
    call = Scripted(clock, 10)
    assert warm_up(call, call, cap_s=0, clock=clock) == 10
    assert call.n == 1


def test_a_turn_lasts_for_its_duration():
    call = Scripted(Clock(), 1)
    samples, last = turn_of(call)
    assert samples.time_s == (1,) * 10
    assert last.tolist() == [10, 10]
    assert call.prepared == 10


def test_a_turn_takes_at_least_one_sample_and_at_most_the_maximum():
    assert turn_of(Scripted(Clock(), 1000))[0].time_s == (1000,)
    assert len(turn_of(Scripted(Clock(), 0.001), max_samples=7)[0]) == 7


def test_the_setup_of_a_timer_does_not_count():
    assert turn_of(Scripted(Clock(), 1, bind_s=1000))[0].time_s == (1,) * 10


def test_disturbed_samples_are_marked():
    samples, _ = turn_of(Scripted(Clock(), 1, 6, 1, 1, 1), duration_s=20)
    assert samples.time_s[:4] == (1, 6, 1, 1)
    assert samples.contended == (0, 1, *[0] * (len(samples) - 2))
    assert samples.contended_share == 1 / len(samples)


def test_every_channel_of_a_sample_is_collected():
    samples, _ = turn_of(EveryChannel(Clock(), 1, 2, 3), duration_s=6)
    assert samples == Samples(
        time_s=(1, 2, 3),
        cpu_s=(10, 20, 30),
        switches=(1, 2, 3),
        contended=(0, 0, 0),
        kernels_s=(100, 200, 300),
        enqueue_s=(0.5, 1, 1.5),
    )


def test_a_channel_that_a_timer_does_not_fill_is_empty():
    samples, _ = turn_of(Scripted(Clock(), 1), duration_s=3)
    assert samples == Samples((1, 1, 1), contended=(0, 0, 0))


def test_only_the_last_result_is_copied_and_returned():
    call = Scripted(Clock(), 1)
    _, last = turn_of(call, 5)
    assert call.copies == [False] * 4 + [True]
    assert last.tolist() == [5, 5]


def test_the_result_of_a_call_expected_to_exceed_the_duration_is_copied_at_once():
    call = Scripted(Clock(), 20)
    assert turn_of(call, 5)[0].time_s == (20,)
    assert call.copies == [True]


def test_the_result_of_the_last_allowed_sample_is_copied_at_once():
    call = Scripted(Clock(), 1e-6)
    turn_of(call, 5, max_samples=7)
    assert call.copies == [False] * 6 + [True]


def test_the_last_result_before_the_wall_time_limit_is_copied_at_once():
    call, ticks = Scripted(Clock(), 1e-6), count()
    samples, _ = take_turn(call, call, 2.0, 100, 1e-6, clock=lambda: float(next(ticks)))
    assert len(samples) == 8
    assert call.copies == [False] * 7 + [True]


def test_the_garbage_collector_is_off_during_a_turn_only():
    states = []

    class ReadsState(Scripted):
        def __call__(self):
            states.append(gc.isenabled())
            return super().__call__()

    turn_of(ReadsState(Clock(), 1), 3)
    assert states == [False] * 3
    assert gc.isenabled()
