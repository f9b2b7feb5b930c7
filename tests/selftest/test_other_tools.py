"""What other tools call slower, on samples whose answer is known."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from test_slowdowns import on_a_busy_machine

from linbench.selftest.slowdowns import described

tools = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "slowdowns.py")))

STEADY = [1.0, 1.001, 0.999, 1.0005, 0.9995] * 6


def times(samples, factor):
    return [factor * sample for sample in samples]


@pytest.mark.parametrize(
    ("is_slower", "no", "yes"),
    [
        (tools.pytest_benchmark, 1.049, 1.051),
        (tools.asv, 1.099, 1.101),
        (tools.mann_whitney, 1.0, 1.01),
        (tools.criterion, 1.009, 1.011),
        (tools.github_action_benchmark, 1.999, 2.001),
    ],
)
def test_the_threshold_of_a_criterion_is_where_its_tool_has_it(is_slower, no, yes):
    assert not is_slower(STEADY, times(STEADY, no))
    assert is_slower(STEADY, times(STEADY, yes))
    assert not is_slower(times(STEADY, yes), STEADY)


def test_the_mean_is_what_one_slow_sample_moves():
    slow = [*STEADY[:-1], 4.0]
    assert tools.pytest_benchmark(STEADY, slow)
    assert not tools.mann_whitney(STEADY, slow)
    assert not tools.criterion(STEADY, slow)


def test_asv_and_mann_whitney_ask_for_enough_samples():
    a = [1.0, 1.01, 1.02, 0.99, 0.98, 1.03, 0.97]
    assert not tools.asv(a[:6], times(a[:6], 1.2))  # p = .0022
    assert tools.asv(a, times(a, 1.2))
    assert not tools.mann_whitney(a[:4], times(a[:4], 1.2))  # p = .029
    assert tools.mann_whitney(a[:5], times(a[:5], 1.2))


def test_on_independent_samples_of_one_process_they_alarm_hardly_ever():
    source = np.random.default_rng(0)
    pairs = [source.normal(1, 0.05, (2, 30)).tolist() for _ in range(300)]
    alarms = {name: sum(is_slower(*pair) for pair in pairs) for name, is_slower in tools.CRITERIA.items()}
    assert alarms.pop("Mann-Whitney p < .01") <= 6  # one side of 1%
    assert alarms.pop("criterion") <= 13  # one side of 5%, of 1% at the least
    assert set(alarms.values()) == {0}
    steadier = [source.normal(1, 0.001, (2, 30)).tolist() for _ in range(300)]
    assert not any(tools.criterion(*pair) for pair in steadier)
    assert sum(tools.criterion(a, times(b, 1.03)) for a, b in pairs) > 30


def test_samples_that_do_not_vary_are_the_same_or_not():
    assert not tools.criterion([1.0] * 9, [1.0] * 9)
    assert tools.criterion([1.0] * 9, [1.1] * 9)


def test_criterion_asks_for_its_t_test_too():
    assert not tools.criterion([1.0, 1.1], [1.15, 1.25])  # any two of each lie 4% apart
    assert tools.criterion([1.0, 1.1] * 3, [1.15, 1.25] * 3)


@pytest.fixture(scope="module")
def busy():
    return on_a_busy_machine()


def test_they_see_two_processes_and_not_two_sides(busy):
    found = tools.shares(busy)
    assert set(found) == set(tools.CRITERIA)
    for name in ("pytest-benchmark mean:5%", "Mann-Whitney p < .01", "criterion"):
        assert 0.2 < found[name][0] < 0.65
    assert 0.1 < found["asv factor 1.1"][0] < 0.5
    assert found["github-action-benchmark 200%"][-1] == 0


def test_the_picture_is_the_same_every_time(busy, tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    slowdowns, others = described(busy, draws=10), tools.shares(busy)
    one, other = tmp_path / "one.svg", tmp_path / "other.svg"
    for path in (one, other):
        tools.draw(slowdowns, others, path)
    assert one.read_bytes() == other.read_bytes()
    fewer = replace(slowdowns, slowdowns=slowdowns.slowdowns[:-1])
    tools.draw(fewer, {name: shares[:-1] for name, shares in others.items()}, other)
    assert one.read_bytes() != other.read_bytes()
