import math
import random
from statistics import median

import pytest
from synthetic import row, sweep, table

from linbench.analysis import Estimate, Panel, geometric_means, panels
from linbench.core.errors import UsageError
from linbench.core.measurement import Status
from linbench.statistics.interval import process_interval


def test_the_mean_is_over_the_points_at_which_all_have_a_time():
    """At 4, where b is out of memory, a is slow: that must help neither."""
    rows = sweep("base/x", lambda _: 8.0, (1, 2, 4))
    rows += [row("a/x", cost, T=t) for t, cost in ((1, 4.0), (2, 1.0), (4, 1000.0))]
    rows += [row("b/x", cost, T=t) for t, cost in ((1, 2.0), (2, 2.0))]
    rows.append(row("b/x", T=4, status=Status.OOM))
    means = geometric_means(panels(table(rows)), "base/x")
    assert means.points == ((0, 1), (0, 2))
    assert means.lost == {(0, 4): ("b/x",)}
    assert means.speedups["a/x"].value == pytest.approx(math.sqrt(2 * 8))
    assert means.speedups["b/x"].value == pytest.approx(4)
    assert means.speedups["base/x"].value == 1
    means_of_a = geometric_means(panels(table(rows)), "base/x", ["a/x"])
    assert means_of_a.points == ((0, 1), (0, 2), (0, 4))


def test_points_of_every_panel_count():
    rows = [row(name, cost, T=t, mode=mode) for mode in ("fwd", "fwd_bwd") for t in (1, 2)
            for name, cost in (("a/x", 1.0), ("b/y", 2.0))]  # fmt: skip
    means = geometric_means(panels(table(rows)), "b/y")
    assert means.points == ((0, 1), (0, 2), (1, 1), (1, 2))
    single = geometric_means(panels(table(rows[:2])), "b/y")
    assert math.log(means.speedups["a/x"].high / 2) == pytest.approx(
        math.log(single.speedups["a/x"].high / 2) / 2
    )


def test_without_a_common_point_there_is_no_mean():
    rows = [row("a/x", T=1), row("b/y", T=2)]
    means = geometric_means(panels(table(rows)), "a/x")
    assert (means.points, means.speedups) == ((), {})
    assert means.lost == {(0, 1): ("b/y",), (0, 2): ("a/x",)}


def test_a_name_without_a_time_is_rejected():
    panel = panels(table([row("a/x"), row("b/y", status=Status.OOM)]))
    with pytest.raises(UsageError, match="unknown implementation with a time 'b/y'; known: a/x"):
        geometric_means(panel, "b/y")
    with pytest.raises(UsageError, match="nothing was timed"):
        geometric_means((), "a/x")


def coverage(rows, processes, tries=500):
    """Return how often the interval of a mean covers 1, the true one, if the processes differ by 5%."""
    templates, source, covered = panels(table(rows)), random.Random(1), 0
    for _ in range(tries):
        times = {}
        for label in {label for panel in templates for label in panel.labels.values()}:
            medians = [math.exp(source.gauss(0, 0.05)) for _ in range(processes)]
            times[label] = Estimate.over_processes(median(medians), *process_interval(medians), processes)
        samples = [Panel(panel.axis, panel.settings, panel.rows) for panel in templates]
        for panel, template in zip(samples, templates, strict=True):
            series = panel.__dict__["series"] = {}
            panel.__dict__["labels"] = template.labels
            for (name, x), label in template.labels.items():
                series.setdefault(name, {})[x] = times[label]
        mean = geometric_means(samples, "b/y").speedups["a/x"]
        covered += mean.low <= 1 <= mean.high
    return covered / tries


@pytest.mark.parametrize("processes", [3, 5])
@pytest.mark.parametrize("count", [1, 4, 12])
def test_the_interval_of_a_mean_covers_the_true_mean_in_92_to_98_percent(processes, count):
    rows = [row(name, T=2**n) for n in range(count) for name in ("a/x", "b/y")]
    assert 0.92 <= coverage(rows, processes) <= 0.98


@pytest.mark.parametrize("processes", [3, 5])
def test_a_time_of_the_baseline_that_several_points_share_is_a_shared_error(processes):
    rows = [row("a/x", T=n, options={"decay": text}) for n in (1, 2, 4) for text in "abcdefgh"]
    rows += [row("b/y", T=n) for n in (1, 2, 4)]
    assert 0.92 <= coverage(rows, processes) <= 0.98
