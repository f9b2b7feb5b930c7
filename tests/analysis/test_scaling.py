import math
import random

import pytest
from synthetic import realistic, row, sweep, table

from linbench.analysis import Estimate, claimed_exponent, panels, scaling, scalings
from linbench.core.measurement import Status
from linbench.statistics.interval import process_interval
from linbench.store.table import frame

XS = (256, 512, 1024, 2048, 4096, 8192)


def times(cost, spread=0.01, xs=XS):
    return {x: Estimate(cost(x), cost(x) * math.exp(-spread), cost(x) * math.exp(spread)) for x in xs}


def test_a_power_law_has_its_exponent_over_every_length():
    result = scaling("a/x", times(lambda x: 3e-9 * x**1.4))
    assert result.exponent == pytest.approx(1.4)
    assert (result.first, result.last, result.points) == (256, 8192, 6)


def test_its_interval_is_that_of_a_weighted_sum():
    result = scaling("a/x", times(lambda x: 1e-6 * x, spread=0.03))
    spread = sum((math.log(x) - sum(map(math.log, XS)) / 6) ** 2 for x in XS)
    assert result.high - 1 == pytest.approx(0.03 / math.sqrt(spread))
    assert 1 - result.low == pytest.approx(0.03 / math.sqrt(spread))


def test_lengths_at_which_a_fixed_cost_bends_the_line_are_excluded():
    result = scaling("a/x", times(lambda x: 1e-3 + 1e-6 * x, spread=0.001))
    assert result.first > 256
    assert result.last == 8192
    straight = scaling("a/x", times(lambda x: 1e-3 + 1e-6 * x, spread=0.001, xs=XS[-3:]))
    assert result.exponent <= straight.exponent < 1


def test_wide_intervals_accept_a_bent_line():
    assert scaling("a/x", times(lambda x: 1e-3 + 1e-6 * x, spread=2)).first == 256


def test_without_a_power_law_there_is_no_exponent():
    jumps = dict(zip(XS, (1, 9, 1, 9, 1, 9), strict=True))
    assert scaling("a/x", times(lambda x: jumps[x])) is None
    assert scaling("a/x", times(lambda x: x, xs=XS[:2])) is None
    assert scaling("a/x", times(lambda x: x, xs=XS[:1])) is None
    assert scaling("a/x", {}) is None


def test_a_claim_is_contradicted_only_by_clearly_faster_growth():
    assert scaling("a/x", times(lambda x: x**1.4)).contradicts(1)
    assert not scaling("a/x", times(lambda x: x**1.05)).contradicts(1)
    assert not scaling("a/x", times(lambda x: x**1.4, spread=1)).contradicts(1)
    assert not scaling("a/x", times(lambda x: x**0.5)).contradicts(1)


def test_a_complexity_names_an_exponent():
    assert [claimed_exponent(text) for text in ("O(1)", "O(T)", "O(T^2)", "O(T sqrt T)")] == [0, 1, 2, None]


def test_it_covers_the_true_exponent_in_95_percent_or_more():
    """Five processes per point that differ by 2%."""
    chance, covered, tries = random.Random(2), 0, 500

    def sample(true):
        medians = sorted(true * math.exp(chance.gauss(0, 0.02)) for _ in range(5))
        return Estimate.over_processes(medians[2], *process_interval(medians), 5)

    for _ in range(tries):
        result = scaling("a/x", {x: sample(1e-9 * x**1.3) for x in XS})
        covered += result.low <= 1.3 <= result.high
    assert 0.94 <= covered / tries < 1


def test_failures_are_excluded_and_every_implementation_has_its_own_exponent():
    rows = sweep("a/x", lambda x: x**2, XS[:4]) + sweep("b/y", lambda x: x, XS[:2])
    rows.append(row("a/x", T=8192, status=Status.OOM))
    (result,) = scalings(panels(table(rows))[0])
    assert (result.implementation, result.last) == ("a/x", 2048)
    by_name = {result.implementation: result for result in scalings(panels(frame([realistic()]))[0])}
    assert by_name["softmax/naive"].contradicts(1)
    assert not by_name["linear/chunk"].contradicts(1)
