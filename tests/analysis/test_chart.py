import math
from dataclasses import replace

import pytest
from synthetic import error, realistic, row, run_of, sweep, table

from linbench.analysis.chart import chart
from linbench.core.errors import UsageError
from linbench.core.measurement import Status
from linbench.store.table import frame

XS = (512, 1024, 2048)


def two_sweeps(**case):
    return sweep("a/x", lambda t: 1e-6 * t, XS, **case) + sweep("b/y", lambda t: 2e-6 * t, XS, **case)


def values(chart):
    return list(chart.points[chart.quantity.column])


def test_every_row_is_a_point_including_failures():
    rows = [*two_sweeps(), row("b/y", T=4096, status=Status.OOM, reason="full")]
    points = chart(table(rows)).points
    assert list(points.columns) == [
        *("run", "implementation", "T", "time_s", "time_s_low", "time_s_high", "status", "reason", "flags")
    ]
    assert len(points) == 7
    assert (points["status"].iloc[-1], points["reason"].iloc[-1]) == ("oom", "full")
    assert math.isnan(points["time_s"].iloc[-1])
    assert points["time_s"].iloc[0] == pytest.approx(512e-6)
    assert points["time_s_low"].iloc[0] == pytest.approx(512e-6 * 0.99)


def test_throughput_is_tokens_over_time_with_the_ends_of_the_interval_swapped():
    result = chart(table(two_sweeps(B=2)), y="throughput")
    assert values(result)[0] == pytest.approx(2 * 512 / 512e-6)
    assert result.points["throughput_tokens_per_s_low"].iloc[0] == pytest.approx(2e6 / 1.01)
    decoding = chart(table(two_sweeps(B=2, mode="decode")), y="throughput")
    assert values(decoding)[0] == pytest.approx(2 / 512e-6)


def test_a_speedup_is_over_the_baseline_at_the_same_point():
    rows = two_sweeps(mode="fwd") + two_sweeps(mode="fwd_bwd")
    slow = [row for row in rows if row.implementation == "b/y" and row.case.mode == "fwd_bwd"]
    rows = [row for row in rows if row not in slow]
    rows += [replace(row, time=replace(row.time, median_s=3 * row.time.median_s)) for row in slow]
    result = chart(table(rows), y="speedup", baseline="b/y", facets=["mode"])
    points = result.points.set_index(["mode", "implementation", "T"])["speedup"]
    assert points["fwd", "a/x", 512] == pytest.approx(2)
    assert points["fwd_bwd", "a/x", 512] == pytest.approx(6)
    assert points["fwd", "b/y", 512] == 1
    assert chart(table(two_sweeps()), y="speedup").baseline == "a/x"  # the fastest at the first value


def test_where_the_baseline_has_no_time_there_is_no_speedup():
    rows = [row("a/x", T=t) for t in (1, 2)] + [row("b/y", T=1), row("b/y", T=2, status=Status.OOM)]
    assert math.isnan(values(chart(table(rows), y="speedup", baseline="b/y"))[1])


def test_memory_and_error_have_no_interval_and_the_error_is_that_of_the_worst_tensor():
    measurement = replace(row("a/x", extra=4096), errors={"o": error(1e-7, 1e-6), "dq": error(5e-7, 1e-6)})
    result = chart(table([measurement]), y="memory")
    assert values(result) == [4096]
    assert result.points["memory_bytes_low"].isna().all()
    assert values(chart(table([measurement]), y="error")) == [5e-7]


def test_the_error_of_a_wrong_row_is_missing():
    wrong = replace(row("a/x", status=Status.WRONG), errors={"o": error(0.9)})
    assert math.isnan(values(chart(table([wrong, row("a/x", T=2)]), y="error"))[-1])


def test_a_selection_filters_the_points_and_is_recorded():
    rows = two_sweeps(K=32, V=32) + two_sweeps(K=64, V=64)
    result = chart(table(rows), where={"D": ["64"], "implementation": ["a/x"]})
    assert len(result.points) == 3
    assert result.where == {"D": ("64",), "implementation": ("a/x",)}
    assert result.hues == ("a/x", "b/y")  # so that colours are stable


def test_modes_and_types_keep_their_order():
    rows = [row for mode in ("decode", "fwd", "fwd_bwd") for row in two_sweeps(mode=mode)]
    assert list(chart(table(rows), facets=["mode"]).points["mode"].unique()) == ["fwd", "fwd_bwd", "decode"]
    only = [row for row in rows if row.implementation == "a/x"]
    assert chart(table(only), hue="mode").hues == ("fwd", "fwd_bwd", "decode")


def test_hues_without_a_time_come_last():
    assert chart(table([row("a/x", status=Status.UNSUPPORTED), row("b/y")])).hues == ("b/y", "a/x")


RUN = run_of(two_sweeps())
MISTAKES = {
    "x": ({"x": "time"}, "unknown --x 'time'; known: B, D, H, K, T, V"),
    "y": ({"y": "tme"}, "unknown --y 'tme'; did you mean time?"),
    "hue": ({"hue": "colour"}, "unknown --hue 'colour'; known: B, D"),
    "facet": ({"facets": ["Mode"]}, "unknown --facet 'Mode'; did you mean mode?"),
    "where": ({"where": {"modus": ["fwd"]}}, "unknown --where 'modus'; did you mean mode"),
    "value": ({"where": {"mode": ["bwd"]}}, "no row has this value; the rows have mode = fwd, fwd_bwd"),
    "twice": ({"facets": ["T"], "where": {"mode": ["fwd"]}}, "T is used twice"),
    "one point": ({}, "mode is fwd, fwd_bwd there; choose with --where mode=fwd, or separate them with"),
    "baseline": ({"y": "speedup", "baseline": "c/z", "facets": ["mode"]}, "unknown --baseline with a time"),
    "baseline of time": ({"baseline": "a/x"}, "--baseline goes with --y speedup, not with --y time"),
    "hue of speedup": ({"y": "speedup", "hue": "mode"}, "leave out --hue mode"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_reported_with_the_allowed_values(name):
    arguments, message = MISTAKES[name]
    with pytest.raises(UsageError) as caught:
        chart(table(two_sweeps() + two_sweeps(mode="fwd_bwd")), **arguments)
    assert message in str(caught.value)


def test_d_stands_for_equal_k_and_v():
    with pytest.raises(UsageError, match="D stands for K = V"):
        chart(table(two_sweeps(K=32, V=64)), facets=["D"])
    with pytest.raises(UsageError, match="D is 32, 64 there; choose with --where D=32"):
        chart(table(two_sweeps(K=32, V=32) + two_sweeps(K=64, V=64)))
    with pytest.raises(UsageError, match="K is 32, 64 there"):
        chart(table(two_sweeps(K=32, V=64) + two_sweeps(K=64, V=64)))


def test_two_runs_are_separated_or_rejected():
    rows = frame([RUN, replace(RUN, id="another")])
    with pytest.raises(UsageError, match="run is 20261122-143000-1a2b, another there"):
        chart(rows)
    assert len(chart(rows, facets=["run"]).points) == 12


def test_an_empty_chart_is_an_error():
    with pytest.raises(UsageError, match="no rows"):
        chart(table([]))
    with pytest.raises(UsageError, match="nothing was timed"):
        chart(table([row("a/x", status=Status.OOM)]), y="speedup")


def test_a_whole_run_has_a_point_for_every_row():
    run = realistic()
    assert len(chart(frame([run]), facets=["mode"]).points) == len(run.measurements)
