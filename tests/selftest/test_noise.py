"""The statistics of noise, for noise of known size and distribution."""

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
    """Return pairs with standard deviation `between` across processes and `within` for the log-ratios."""
    source = random.Random(7)
    pairs = []
    for _ in range(n):
        process = between * shape(source)
        pairs.append(tuple(math.exp(process + within * shape(source) / math.sqrt(2)) for _ in range(2)))
    return pairs


@pytest.mark.parametrize("shape", [normal, heavy])
def test_the_estimate_matches_known_noise(shape):
    deviation, low, high = noise.pair_noise(pairs_of(shape, 3000))
    assert deviation == pytest.approx(0.01, rel=0.05)
    assert low < deviation < high


def test_the_interval_of_the_noise_has_its_nominal_coverage():
    source = random.Random(2)
    hits = 0
    for _ in range(2000):
        _, low, high = noise.pair_noise([(math.exp(0.02 * source.gauss(0, 1)), 1.0) for _ in range(8)])
        hits += low <= 0.02 <= high
    assert 0.93 <= hits / 2000 <= 0.97


def test_two_pairs_match_a_manual_calculation():
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
def test_the_minimum_detectable_effect_is_detected_with_its_power(processes):
    source = random.Random(4)
    effect = noise.minimum_detectable_effect(0.02, processes)
    detections = 0
    for _ in range(TRIALS):
        ratios = [(1 + effect) * math.exp(0.02 * source.gauss(0, 1)) for _ in range(processes)]
        low, _ = process_interval(ratios)
        detections += low > 1
    assert 0.935 <= detections / TRIALS <= 0.965


def test_the_minimum_detectable_effect_falls_with_more_processes_and_less_noise():
    # with 10,000 processes the quantiles are those of the normal: (1.960 + 1.645) s / sqrt(n)
    assert noise.minimum_detectable_effect(0.01, 10_000) == pytest.approx(3.605 * 0.01 / 100, rel=1e-3)
    assert (
        noise.minimum_detectable_effect(0.01, 20)
        < noise.minimum_detectable_effect(0.01, 10)
        < noise.minimum_detectable_effect(0.02, 10)
    )


@pytest.mark.parametrize("shape", [normal, heavy])
def test_intervals_of_independent_processes_have_their_nominal_rates(shape):
    pairs = pairs_of(shape, 400)
    assert 0.92 <= noise.coverage([side for pair in pairs for side in pair], 5) <= 0.98
    assert 0.02 <= noise.paired_alarms(pairs, 5) <= 0.08


def test_intervals_of_rows_overlap_where_processes_differ_more_than_sides():
    assert noise.apart_alarms(pairs_of(normal, 100), 5) < 0.001
    independent = pairs_of(normal, 100, between=0.0)  # without a process effect the sides are independent
    assert 0.001 < noise.apart_alarms(independent, 5) < 0.02


def test_coverage_is_poor_for_a_bimodal_distribution():
    # an interval of three processes from the same mode misses the median, which is between the modes
    medians = [value + n / 1e6 for value in (1.0, 2.0) for n in range(100)]
    assert noise.coverage(medians, 3) == pytest.approx(1 - 2 / 2**3, abs=0.02)


def test_alarms_are_counted():
    # sides that always differ by the same factor: an alarm only if all five have the same direction
    pairs = [(1.0, 1.1)] * 3
    assert noise.paired_alarms(pairs, 5) == pytest.approx(2 / 2**5, abs=0.012)
    assert noise.apart_alarms(pairs, 5) == pytest.approx(2 / 2**5, abs=0.012)
