import math
from dataclasses import replace

import pytest
from synthetic import error, realistic, row, run_of, sweep, table

from linbench.analysis.chart import chart
from linbench.core.errors import UsageError
from linbench.core.measurement import Status
from linbench.store.table import frame

XS = (512, 1024, 2048)


def two(**case):
    return sweep("a/x", lambda t: 1e-6 * t, XS, **case) + sweep("b/y", lambda t: 2e-6 * t, XS, **case)


def values(found):
    return list(found.points[found.quantity.column])


def test_every_row_is_a_point_failures_included():
    rows = [*two(), row("b/y", T=4096, status=Status.OOM, reason="full")]
    points = chart(table(rows)).points
    assert list(points.columns) == [
        *("run", "implementation", "T", "time_s", "time_s_low", "time_s_high", "status", "reason", "flags")
    ]
    assert len(points) == 7
    assert (points["status"].iloc[-1], points["reason"].iloc[-1]) == ("oom", "full")
    assert math.isnan(points["time_s"].iloc[-1])
    assert points["time_s"].iloc[0] == pytest.approx(512e-6)
    assert points["time_s_low"].iloc[0] == pytest.approx(512e-6 * 0.99)


def test_throughput_is_tokens_over_time_and_turns_the_interval_over():
    found = chart(table(two(B=2)), y="throughput")
    assert values(found)[0] == pytest.approx(2 * 512 / 512e-6)
    assert found.points["throughput_tokens_per_s_low"].iloc[0] == pytest.approx(2e6 / 1.01)
    decoding = chart(table(two(B=2, mode="decode")), y="throughput")
    assert values(decoding)[0] == pytest.approx(2 / 512e-6)


def test_a_speedup_is_over_the_baseline_at_the_same_point():
    rows = two(mode="fwd") + two(mode="fwd_bwd")
    slow = [one for one in rows if one.implementation == "b/y" and one.case.mode == "fwd_bwd"]
    rows = [one for one in rows if one not in slow]
    rows += [replace(one, time=replace(one.time, median_s=3 * one.time.median_s)) for one in slow]
    found = chart(table(rows), y="speedup", baseline="b/y", facets=["mode"])
    points = found.points.set_index(["mode", "implementation", "T"])["speedup"]
    assert points["fwd", "a/x", 512] == pytest.approx(2)
    assert points["fwd_bwd", "a/x", 512] == pytest.approx(6)
    assert points["fwd", "b/y", 512] == 1
    assert chart(table(two()), y="speedup").baseline == "a/x"  # the fastest at the first value


def test_where_the_baseline_has_no_time_there_is_no_speedup():
    rows = [row("a/x", T=t) for t in (1, 2)] + [row("b/y", T=1), row("b/y", T=2, status=Status.OOM)]
    assert math.isnan(values(chart(table(rows), y="speedup", baseline="b/y"))[1])


def test_memory_and_error_have_no_interval_and_the_error_is_that_of_the_worst_tensor():
    one = replace(row("a/x", extra=4096), errors={"o": error(1e-7, 1e-6), "dq": error(5e-7, 1e-6)})
    found = chart(table([one]), y="memory")
    assert values(found) == [4096]
    assert found.points["memory_bytes_low"].isna().all()
    assert values(chart(table([one]), y="error")) == [5e-7]


def test_the_error_of_a_wrong_row_is_no_value():
    wrong = replace(row("a/x", status=Status.WRONG), errors={"o": error(0.9)})
    assert math.isnan(values(chart(table([wrong, row("a/x", T=2)]), y="error"))[-1])


def test_what_is_selected_is_kept_and_named():
    rows = two(K=32, V=32) + two(K=64, V=64)
    found = chart(table(rows), where={"D": ["64"], "implementation": ["a/x"]})
    assert len(found.points) == 3
    assert found.where == {"D": ("64",), "implementation": ("a/x",)}
    assert found.hues == ("a/x", "b/y")  # so that a colour stays


def test_modes_and_types_keep_their_order():
    rows = [one for mode in ("decode", "fwd", "fwd_bwd") for one in two(mode=mode)]
    assert list(chart(table(rows), facets=["mode"]).points["mode"].unique()) == ["fwd", "fwd_bwd", "decode"]
    only = [one for one in rows if one.implementation == "a/x"]
    assert chart(table(only), hue="mode").hues == ("fwd", "fwd_bwd", "decode")


def test_those_never_timed_come_last():
    assert chart(table([row("a/x", status=Status.UNSUPPORTED), row("b/y")])).hues == ("b/y", "a/x")


RUN = run_of(two())
MISTAKES = {
    "x": ({"x": "time"}, "unknown --x 'time'; known: B, D, H, K, T, V"),
    "y": ({"y": "tme"}, "unknown --y 'tme'; did you mean time?"),
    "hue": ({"hue": "colour"}, "unknown --hue 'colour'; known: B, D"),
    "facet": ({"facets": ["Mode"]}, "unknown --facet 'Mode'; did you mean mode?"),
    "where": ({"where": {"modus": ["fwd"]}}, "unknown --where 'modus'; did you mean mode"),
    "value": ({"where": {"mode": ["bwd"]}}, "--where mode=bwd: no row has it; there are mode = fwd, fwd_bwd"),
    "twice": ({"facets": ["T"], "where": {"mode": ["fwd"]}}, "T is asked for twice"),
    "one point": ({}, "mode is fwd, fwd_bwd there; choose with --where mode=fwd, or set them apart with"),
    "baseline": ({"y": "speedup", "baseline": "c/z", "facets": ["mode"]}, "unknown --baseline with a time"),
    "baseline of time": ({"baseline": "a/x"}, "--baseline goes with --y speedup, not with --y time"),
    "hue of speedup": ({"y": "speedup", "hue": "mode"}, "leave out --hue mode"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_what_is_allowed(name):
    given, said = MISTAKES[name]
    with pytest.raises(UsageError) as caught:
        chart(table(two() + two(mode="fwd_bwd")), **given)
    assert said in str(caught.value)


def test_d_is_k_and_v_together():
    with pytest.raises(UsageError, match="D is K and V together"):
        chart(table(two(K=32, V=64)), facets=["D"])
    with pytest.raises(UsageError, match="D is 32, 64 there; choose with --where D=32"):
        chart(table(two(K=32, V=32) + two(K=64, V=64)))
    with pytest.raises(UsageError, match="K is 32, 64 there"):
        chart(table(two(K=32, V=64) + two(K=64, V=64)))


def test_two_runs_are_told_apart_or_refused():
    rows = frame([RUN, replace(RUN, id="another")])
    with pytest.raises(UsageError, match="run is 20261122-143000-1a2b, another there"):
        chart(rows)
    assert len(chart(rows, facets=["run"]).points) == 12


def test_nothing_to_show_is_said():
    with pytest.raises(UsageError, match="no rows"):
        chart(table([]))
    with pytest.raises(UsageError, match="nothing was timed"):
        chart(table([row("a/x", status=Status.OOM)]), y="speedup")


def test_a_whole_run_has_a_point_for_every_row():
    run = realistic()
    assert len(chart(frame([run]), facets=["mode"]).points) == len(run.measurements)
