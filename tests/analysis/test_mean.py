import math

import pytest
from synthetic import row, sweep, table

from linbench.analysis import geometric_means, panels
from linbench.core.errors import UsageError
from linbench.core.measurement import Status


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
