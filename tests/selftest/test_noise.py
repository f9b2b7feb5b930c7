"""What is said of noise is right for noise of known size and shape."""

import math
import random

import pytest

from linbench.selftest import noise
from linbench.statistics.interval import process_interval

TRIALS = 4000


def normal(source):
    return source.gauss(0, 1)


def heavy(source):
    return source.expovariate(1) * source.choice((-1, 1)) / math.sqrt(2)


def pairs_of(shape, n, between=0.1, within=0.01):
    """Return pairs whose processes differ by `between` and whose log-ratios have deviation `within`."""
    source = random.Random(7)
    found = []
    for _ in range(n):
        process = between * shape(source)
        found.append(tuple(math.exp(process + within * shape(source) / math.sqrt(2)) for _ in range(2)))
    return found


@pytest.mark.parametrize("shape", [normal, heavy])
def test_noise_of_known_size_is_found(shape):
    found, low, high = noise.pair_noise(pairs_of(shape, 3000))
    assert found == pytest.approx(0.01, rel=0.05)
    assert low < found < high


def test_its_interval_covers_as_often_as_it_says():
    source = random.Random(2)
    hits = 0
    for _ in range(2000):
        _, low, high = noise.pair_noise([(math.exp(0.02 * source.gauss(0, 1)), 1.0) for _ in range(8)])
        hits += low <= 0.02 <= high
    assert 0.93 <= hits / 2000 <= 0.97


def test_two_pairs_by_hand():
    # log-ratios log 2 and 0: their mean is log(2) / 2, their deviation log(2) / sqrt(2)
    pairs = [(2.0, 1.0), (3.0, 3.0)]
    assert noise.pair_noise(pairs)[0] == pytest.approx(math.log(2) / math.sqrt(2))
    middle, low, high = noise.difference(pairs)
    assert middle == pytest.approx(math.sqrt(2) - 1)
    reach = 12.7062 * math.log(2) / 2  # Student's t, 1 degree of freedom, over sqrt(2) processes
    assert (1 + low, 1 + high) == pytest.approx(
        (math.exp(math.log(2) / 2 - reach), math.exp(math.log(2) / 2 + reach)), rel=1e-4
    )


@pytest.mark.parametrize("processes", [3, 5, 10])
def test_the_minimum_detectable_effect_is_seen_with_its_power(processes):
    source = random.Random(4)
    effect = noise.minimum_detectable_effect(0.02, processes)
    seen = 0
    for _ in range(TRIALS):
        ratios = [(1 + effect) * math.exp(0.02 * source.gauss(0, 1)) for _ in range(processes)]
        low, _ = process_interval(ratios)
        seen += low > 1
    assert 0.935 <= seen / TRIALS <= 0.965


def test_the_minimum_detectable_effect_falls_with_more_processes_and_less_noise():
    # by 10,000 processes the quantiles are the normal's: (1.960 + 1.645) s / sqrt(n)
    assert noise.minimum_detectable_effect(0.01, 10_000) == pytest.approx(3.605 * 0.01 / 100, rel=1e-3)
    assert (
        noise.minimum_detectable_effect(0.01, 20)
        < noise.minimum_detectable_effect(0.01, 10)
        < noise.minimum_detectable_effect(0.02, 10)
    )


@pytest.mark.parametrize("shape", [normal, heavy])
def test_intervals_of_independent_processes_do_what_they_say(shape):
    pairs = pairs_of(shape, 400)
    assert 0.92 <= noise.coverage([side for pair in pairs for side in pair], 5) <= 0.98
    assert 0.02 <= noise.paired_alarms(pairs, 5) <= 0.08


def test_intervals_of_rows_overlap_where_processes_differ_more_than_sides():
    assert noise.apart_alarms(pairs_of(normal, 100), 5) < 0.001
    alone = pairs_of(normal, 100, between=0.0)  # the two sides are then independent
    assert 0.001 < noise.apart_alarms(alone, 5) < 0.02


def test_coverage_is_found_to_be_poor_where_processes_are_of_two_kinds():
    # three of one kind say nothing of the other, and the median lies between
    medians = [value + n / 1e6 for value in (1.0, 2.0) for n in range(100)]
    assert noise.coverage(medians, 3) == pytest.approx(1 - 2 / 2**3, abs=0.02)


def test_alarms_are_counted():
    # sides that always differ by one factor: an alarm where all five happen to lie one way, else none
    pairs = [(1.0, 1.1)] * 3
    assert noise.paired_alarms(pairs, 5) == pytest.approx(2 / 2**5, abs=0.012)
    assert noise.apart_alarms(pairs, 5) == pytest.approx(2 / 2**5, abs=0.012)
