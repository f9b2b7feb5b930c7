"""What other tools call slower, on samples whose answer is known."""

import numpy as np
import pytest

from linbench.selftest import rivals

STEADY = [1.0, 1.001, 0.999, 1.0005, 0.9995] * 6


def times(samples, factor):
    return [factor * sample for sample in samples]


@pytest.mark.parametrize(
    ("rule", "no", "yes"),
    [
        (rivals.pytest_benchmark, 1.049, 1.051),
        (rivals.asv, 1.099, 1.101),
        (rivals.mann_whitney, 1.0, 1.01),
        (rivals.criterion, 1.009, 1.011),
        (rivals.github_action_benchmark, 1.999, 2.001),
    ],
)
def test_the_threshold_of_a_rule_is_where_its_tool_has_it(rule, no, yes):
    assert not rule(STEADY, times(STEADY, no))
    assert rule(STEADY, times(STEADY, yes))
    assert not rule(times(STEADY, yes), STEADY)


def test_the_mean_is_what_one_slow_sample_moves():
    slow = [*STEADY[:-1], 4.0]
    assert rivals.pytest_benchmark(STEADY, slow)
    assert not rivals.mann_whitney(STEADY, slow)
    assert not rivals.criterion(STEADY, slow)


def test_asv_and_mann_whitney_ask_for_enough_samples():
    a = [1.0, 1.01, 1.02, 0.99, 0.98, 1.03, 0.97]
    assert not rivals.asv(a[:6], times(a[:6], 1.2))  # p = .0022
    assert rivals.asv(a, times(a, 1.2))
    assert not rivals.mann_whitney(a[:4], times(a[:4], 1.2))  # p = .029
    assert rivals.mann_whitney(a[:5], times(a[:5], 1.2))


def test_on_independent_samples_of_one_process_they_alarm_hardly_ever():
    source = np.random.default_rng(0)
    pairs = [source.normal(1, 0.05, (2, 30)).tolist() for _ in range(300)]
    alarms = {name: sum(rule(*pair) for pair in pairs) for name, rule in rivals.RULES.items()}
    assert alarms.pop("Mann-Whitney p < .01") <= 6  # one side of 1%
    assert alarms.pop("criterion") <= 13  # one side of 5%, of 1% at the least
    assert set(alarms.values()) == {0}
    steadier = [source.normal(1, 0.001, (2, 30)).tolist() for _ in range(300)]
    assert not any(rivals.criterion(*pair) for pair in steadier)
    assert sum(rivals.criterion(a, times(b, 1.03)) for a, b in pairs) > 30


def test_samples_that_do_not_vary_are_the_same_or_not():
    assert not rivals.criterion([1.0] * 9, [1.0] * 9)
    assert rivals.criterion([1.0] * 9, [1.1] * 9)


def test_criterion_asks_for_its_t_test_too():
    assert not rivals.criterion([1.0, 1.1], [1.15, 1.25])  # any two of each lie 4% apart
    assert rivals.criterion([1.0, 1.1] * 3, [1.15, 1.25] * 3)
