import math
import random

import pytest

from linbench.statistics.interval import median_interval, process_interval


@pytest.mark.parametrize(
    ("n", "ranks"), [(5, (1, 5)), (6, (1, 6)), (9, (2, 8)), (20, (6, 15)), (100, (40, 61))]
)
def test_the_ends_are_the_order_statistics_of_the_sign_test(n, ranks):
    # Tables of the sign test, 5% two-sided: n = 9 drops 1 at each end, 20 drops 5, 100 drops 39.
    assert median_interval(list(range(1, n + 1))) == ranks


def test_the_interval_of_the_median_has_its_nominal_coverage():
    source = random.Random(0)
    for n in (7, 25, 200):
        hits = 0
        for _ in range(4000):
            low, high = median_interval([source.expovariate(1.0) for _ in range(n)])
            hits += low <= 0.6931471805599453 <= high
        assert 0.945 <= hits / 4000 <= 0.99


def test_thousands_of_samples_do_not_overflow():
    low, high = median_interval(list(range(5001)))
    assert 2400 < low < 2500 < high < 2600


def test_an_empty_list_of_samples_is_rejected():
    with pytest.raises(ValueError, match="at least one"):
        median_interval([])


def normal(source):
    return source.gauss(0, 1)


def heavy(source):
    return source.expovariate(1) * source.choice((-1, 1))


def skewed(source):
    return source.gammavariate(8, 1) - 7.669  # less its median


@pytest.mark.parametrize("processes", [2, 3, 5])
@pytest.mark.parametrize("shape", [normal, heavy, skewed])
def test_the_interval_over_processes_covers_the_typical_median(processes, shape):
    source = random.Random(1)
    hits = 0
    for _ in range(4000):
        low, high = process_interval([math.exp(0.05 * shape(source)) for _ in range(processes)])
        hits += low <= 1 <= high
    assert 0.92 <= hits / 4000 <= 0.98


def test_two_processes_of_the_same_code_seldom_differ_by_students_t_but_often_by_their_ranges():
    # The reason for Student's t on two processes, although it is wide, instead of their range.
    source = random.Random(2)
    tries, by_t, by_range = 4000, 0, 0
    for _ in range(tries):
        a, b = ([math.exp(source.gauss(0, 0.05)) for _ in range(2)] for _ in range(2))
        by_range += max(a) < min(b) or max(b) < min(a)
        (a_low, a_high), (b_low, b_high) = process_interval(a), process_interval(b)
        by_t += a_high < b_low or b_high < a_low
    assert by_t / tries < 0.02
    assert by_range / tries == pytest.approx(1 / 3, abs=0.03)


def test_the_interval_over_processes_contains_their_median():
    low, high = process_interval([1.0, 1.0, 1.0, 1.0, 100.0])
    assert low <= 1.0 <= high
    assert process_interval([2.0, 2.0]) == pytest.approx((2.0, 2.0))
    with pytest.raises(ValueError, match="two positive medians"):
        process_interval([1.0])
