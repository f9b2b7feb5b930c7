import math
import random
from dataclasses import replace
from statistics import median

import pytest
from scipy.stats import t

from linbench.analysis import Estimate, product, speedup
from linbench.statistics.interval import process_interval


def estimate(value, spread=0.01):
    return Estimate(value, value * (1 - spread), value * (1 + spread))


class TestSpeedup:
    def test_half_widths_add_in_quadrature_on_the_log_scale(self):
        unit = estimate(1.0)
        fast = replace(unit, low=1 / math.exp(0.03), high=math.exp(0.03))
        slow = replace(unit, value=4.0, low=4 / math.exp(0.04), high=4 * math.exp(0.04))
        ratio = speedup(fast, slow)
        assert ratio.value == pytest.approx(4.0)
        assert ratio.low == pytest.approx(4 * math.exp(-0.05))
        assert ratio.high == pytest.approx(4 * math.exp(0.05))

    def test_the_low_end_is_from_the_slow_end_of_the_time(self):
        fast = replace(estimate(1.0), low=1.0, high=1.5)
        exact = replace(estimate(2.0), low=2.0, high=2.0)
        assert speedup(fast, exact).low == pytest.approx(2 / 1.5)
        assert speedup(fast, exact).high == pytest.approx(2.0)

    def test_an_interval_that_reaches_zero_gives_an_infinite_end(self):
        assert speedup(replace(estimate(1.0), low=0.0), estimate(1.0)).high == math.inf

    def test_it_covers_the_true_ratio_of_medians_in_95_percent(self):
        from linbench.statistics.interval import median_interval

        source, covered, tries = random.Random(1), 0, 600

        def measure(true):
            samples = [true * math.exp(source.gauss(0, 0.2)) for _ in range(31)]
            low, high = median_interval(samples)
            return replace(estimate(sorted(samples)[15]), low=low, high=high)

        for _ in range(tries):
            ratio = speedup(measure(1.0), measure(3.0))
            covered += ratio.low <= 3.0 <= ratio.high
        assert 0.93 <= covered / tries <= 0.995


class TestProduct:
    def test_the_product_of_one_factor_is_the_factor(self):
        estimate = product([(Estimate(2.0, 1.0, 3.0), 1)])
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx((2, 1, 3))

    def test_a_negative_power_inverts_the_interval(self):
        estimate = product([(Estimate(2.0, 1.0, 3.0), -1)])
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx((1 / 2, 1 / 3, 1))

    def test_a_factor_to_the_power_of_zero_is_ignored(self):
        assert product([(Estimate(2.0, 0.0, math.inf), 0)]) == Estimate(1.0, 1.0, 1.0)

    def test_the_geometric_mean_of_n_equal_factors_is_narrower_by_the_root_of_n(self):
        factor = Estimate(1.0, math.exp(-0.4), math.exp(0.4))
        assert math.log(product([(factor, 1 / 16)] * 16).high) == pytest.approx(0.1)

    def test_an_interval_beyond_the_range_of_floats_is_infinite(self):
        wide = Estimate(1.0, 1e-300, 1e300)
        assert product([(wide, 3)]).high == math.inf

    @pytest.mark.parametrize("processes", [3, 5, 10])
    @pytest.mark.parametrize("count", [2, 4, 16])
    def test_it_covers_a_product_of_times_over_processes_in_92_to_98_percent(self, processes, count):
        source, covered, tries = random.Random(3), 0, 600
        for _ in range(tries):
            times = [(measure(source, 2.0, processes), (-1) ** n) for n in range(count)]
            mean = product(times)
            covered += mean.low <= 1 <= mean.high
        assert 0.92 <= covered / tries <= 0.98

    def test_the_degrees_of_freedom_are_those_of_welch_and_satterthwaite(self):
        narrow = Estimate(1.0, math.exp(-0.1 * 2.776445), math.exp(0.1 * 2.776445), 4)
        wide = Estimate(1.0, math.exp(-0.2 * 4.302653), math.exp(0.2 * 4.302653), 2)
        estimate = product([(narrow, 1), (wide, -1)])
        freedom = 0.05**2 / (0.1**4 / 4 + 0.2**4 / 2)
        assert estimate.degrees_of_freedom == pytest.approx(freedom)
        assert math.log(estimate.high) == pytest.approx(t.ppf(0.975, freedom) * math.sqrt(0.05), rel=1e-6)

    def test_a_product_of_products_is_the_product_of_their_factors(self):
        source = random.Random(4)
        times = [measure(source, 2.0) for _ in range(4)]
        nested = product(
            [(product([(x, 1) for x in times[:2]]), 1), (product([(x, 1) for x in times[2:]]), 1)]
        )
        flat = product((x, 1) for x in times)
        for name in ("value", "low", "high", "degrees_of_freedom"):
            assert getattr(nested, name) == pytest.approx(getattr(flat, name))


def measure(source, true, processes=5):
    """Return an estimate from the medians of processes that differ by 10%."""
    medians = [true * math.exp(source.gauss(0, 0.1)) for _ in range(processes)]
    return Estimate.over_processes(median(medians), *process_interval(medians), processes)
