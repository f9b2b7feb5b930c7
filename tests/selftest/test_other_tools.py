"""What other tools call slower, on samples with a known answer."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from test_slowdowns import busy_recording

from linbench.selftest.slowdowns import summarize

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
def test_each_criterion_has_the_threshold_of_its_tool(is_slower, no, yes):
    assert not is_slower(STEADY, times(STEADY, no))
    assert is_slower(STEADY, times(STEADY, yes))
    assert not is_slower(times(STEADY, yes), STEADY)


def test_one_slow_sample_changes_only_the_answer_of_the_mean():
    with_outlier = [*STEADY[:-1], 4.0]
    assert tools.pytest_benchmark(STEADY, with_outlier)
    assert not tools.mann_whitney(STEADY, with_outlier)
    assert not tools.criterion(STEADY, with_outlier)


def test_asv_and_mann_whitney_need_enough_samples():
    a = [1.0, 1.01, 1.02, 0.99, 0.98, 1.03, 0.97]
    assert not tools.asv(a[:6], times(a[:6], 1.2))  # p = .0022
    assert tools.asv(a, times(a, 1.2))
    assert not tools.mann_whitney(a[:4], times(a[:4], 1.2))  # p = .029
    assert tools.mann_whitney(a[:5], times(a[:5], 1.2))


def test_independent_samples_of_the_same_process_hardly_ever_raise_alarms():
    source = np.random.default_rng(0)
    pairs = [source.normal(1, 0.05, (2, 30)).tolist() for _ in range(300)]
    alarms = {name: sum(is_slower(*pair) for pair in pairs) for name, is_slower in tools.CRITERIA.items()}
    assert alarms.pop("Mann-Whitney p < .01") <= 6  # one tail of 1%
    assert alarms.pop("criterion") <= 13  # one tail of 5%, and a change of at least 1%
    assert set(alarms.values()) == {0}
    steadier = [source.normal(1, 0.001, (2, 30)).tolist() for _ in range(300)]
    assert not any(tools.criterion(*pair) for pair in steadier)
    assert sum(tools.criterion(a, times(b, 1.03)) for a, b in pairs) > 30


def test_criterion_handles_samples_without_variance():
    assert not tools.criterion([1.0] * 9, [1.0] * 9)
    assert tools.criterion([1.0] * 9, [1.1] * 9)


def test_criterion_also_needs_its_t_test():
    assert not tools.criterion([1.0, 1.1], [1.15, 1.25])  # every sample of B is at least 4% longer
    assert tools.criterion([1.0, 1.1] * 3, [1.15, 1.25] * 3)


@pytest.fixture(scope="module")
def busy():
    return busy_recording()


def test_other_tools_call_two_processes_of_the_same_code_different(busy):
    shares = tools.shares(busy)
    assert set(shares) == set(tools.CRITERIA)
    for name in ("pytest-benchmark mean:5%", "Mann-Whitney p < .01", "criterion"):
        assert 0.2 < shares[name][0] < 0.65
    assert 0.1 < shares["asv factor 1.1"][0] < 0.5
    assert shares["github-action-benchmark 200%"][-1] == 0


def test_the_picture_is_reproducible(busy, tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    report, shares_by_tool = summarize(busy, draws=10), tools.shares(busy)
    first, second = tmp_path / "first.svg", tmp_path / "second.svg"
    for path in (first, second):
        tools.draw(report, shares_by_tool, path)
    assert first.read_bytes() == second.read_bytes()
    shorter = replace(report, slowdowns=report.slowdowns[:-1])
    tools.draw(shorter, {name: shares[:-1] for name, shares in shares_by_tool.items()}, second)
    assert first.read_bytes() != second.read_bytes()
