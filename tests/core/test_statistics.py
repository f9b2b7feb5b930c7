import random

import pytest

from linbench.core.statistics import median_interval


@pytest.mark.parametrize(
    ("n", "ranks"), [(5, (1, 5)), (6, (1, 6)), (9, (2, 8)), (20, (6, 15)), (100, (40, 61))]
)
def test_the_ends_are_the_order_statistics_of_the_sign_test(n, ranks):
    # Tables of the sign test, 5% two-sided: n = 9 drops 1 at each end, 20 drops 5, 100 drops 39.
    assert median_interval(list(range(1, n + 1))) == ranks


def test_the_interval_covers_the_median_as_often_as_it_says():
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


def test_no_sample_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        median_interval([])
