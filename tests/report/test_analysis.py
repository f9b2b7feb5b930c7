import math
import random
from dataclasses import replace

import pytest
from synthetic import LENGTHS, error, realistic, row, time

from linbench.core.measurement import Status
from linbench.report.analysis import (
    default_baseline,
    duel,
    duels,
    failures,
    options_text,
    panels,
    speedup,
    varying_axis,
    verdicts,
    worst_error,
)


def sweep(name, cost, xs=LENGTHS, **settings):
    return [row(name, cost(x), T=x, **settings) for x in xs]


def quadratic_and_linear():
    """Two costs, 1e-9 T^2 and 2.5e-6 T, that meet at T = 2,500."""
    return sweep("a/quadratic", lambda x: 1e-9 * x**2) + sweep("b/linear", lambda x: 2.5e-6 * x)


class TestAxis:
    def test_it_is_T_where_T_varies(self):
        rows = [row("a/x", T=512, B=b) for b in (1, 2, 4)] + [row("a/x", T=1024)]
        assert varying_axis(rows) == "T"

    def test_otherwise_the_one_that_varies_most(self):
        assert varying_axis([row("a/x", K=k, V=k, H=h) for k in (32, 64, 128) for h in (1, 2)]) == "K"
        assert varying_axis([row("a/x", H=h) for h in (1, 2)]) == "H"

    def test_and_T_where_nothing_does(self):
        assert varying_axis([row("a/x")]) == "T"
        assert varying_axis([]) == "T"


class TestPanels:
    def test_no_row_is_dropped(self):
        rows = realistic().measurements
        found = panels(rows)
        assert [panel.settings["mode"] for panel in found] == ["fwd", "fwd_bwd", "decode"]
        assert sorted(id(one) for panel in found for one in panel.rows) == sorted(id(one) for one in rows)

    def test_each_fixes_all_but_the_axis(self):
        rows = [
            row("a/x", T=t, B=b, H=h, dtype=d)
            for t in (1, 2)
            for b in (1, 2)
            for h in (1, 2)
            for d in ("float32", "float16")
        ]
        found = panels(rows)
        assert len(found) == 8
        assert all(panel.xs == [1, 2] and len(panel.rows) == 2 for panel in found)

    def test_a_batch_that_follows_T_divides_nothing(self):
        (panel,) = panels([row("a/x", T=t, B=4096 // t) for t in (512, 1024, 2048)])
        assert panel.settings["B"] == "follows T"
        assert panel.xs == [512, 1024, 2048]

    def test_a_value_size_that_follows_K_divides_nothing(self):
        (panel,) = panels([row("a/x", K=k, V=k) for k in (32, 64)])
        assert (panel.axis, panel.settings["V"]) == ("K", "follows K")

    def test_an_operator_with_one_set_of_options_is_in_every_panel(self):
        rows = [row("linear/chunk", options={"feature_map": name}) for name in ("elu", "relu")]
        found = panels([*rows, row("softmax/flash")])
        assert [panel.settings["options"] for panel in found] == ["feature_map=elu", "feature_map=relu"]
        assert [{one.implementation for one in panel.rows} for panel in found] == [
            {"linear/chunk", "softmax/flash"}
        ] * 2

    def test_options_read_as_they_are_typed(self):
        assert (
            options_text(row("a/x", options={"normalise": False, "chunk": 64}).case)
            == "chunk=64 normalise=false"
        )

    def test_no_rows_no_panels(self):
        assert panels([]) == ()


class TestSpeedup:
    def test_half_widths_add_in_squares_on_the_log_scale(self):
        one = time(1.0)
        fast = replace(one, ci_low_s=1 / math.exp(0.03), ci_high_s=math.exp(0.03))
        slow = replace(one, median_s=4.0, ci_low_s=4 / math.exp(0.04), ci_high_s=4 * math.exp(0.04))
        found = speedup(fast, slow)
        assert found.value == pytest.approx(4.0)
        assert found.low == pytest.approx(4 * math.exp(-0.05))
        assert found.high == pytest.approx(4 * math.exp(0.05))

    def test_the_slow_end_of_one_meets_the_fast_end_of_the_other(self):
        fast = replace(time(1.0), ci_low_s=1.0, ci_high_s=1.5)
        exact = replace(time(2.0), ci_low_s=2.0, ci_high_s=2.0)
        assert speedup(fast, exact).low == pytest.approx(2 / 1.5)
        assert speedup(fast, exact).high == pytest.approx(2.0)

    def test_an_interval_down_to_zero_is_open(self):
        assert speedup(replace(time(1.0), ci_low_s=0.0), time(1.0)).high == math.inf

    def test_it_covers_the_true_ratio_of_medians_in_95_percent(self):
        from linbench.core.statistics import median_interval

        chance, covered, tries = random.Random(1), 0, 600

        def sampled(true):
            samples = [true * math.exp(chance.gauss(0, 0.2)) for _ in range(31)]
            low, high = median_interval(samples)
            return replace(time(sorted(samples)[15]), ci_low_s=low, ci_high_s=high)

        for _ in range(tries):
            found = speedup(sampled(1.0), sampled(3.0))
            covered += found.low <= 3.0 <= found.high
        assert 0.93 <= covered / tries <= 0.995


class TestDuel:
    def test_a_crossover_is_where_the_lines_meet(self):
        (panel,) = panels(quadratic_and_linear())
        found = duel(panel, "a/quadratic", "b/linear")
        (point,) = found.crossovers
        assert (point.faster, point.slower) == ("b/linear", "a/quadratic")
        assert point.at == pytest.approx(2500, rel=1e-9)
        assert (point.low, point.high) == (2048, 4096)
        assert found.first_wins == (512, 1024, 2048)
        assert found.second_wins == (4096, 8192, 16384, 32768)

    def test_it_is_the_same_from_the_other_side(self):
        (panel,) = panels(quadratic_and_linear())
        assert (
            duel(panel, "b/linear", "a/quadratic").crossovers
            == duel(panel, "a/quadratic", "b/linear").crossovers
        )

    def test_none_is_claimed_where_one_side_overlaps(self):
        """At 4,096, the last value, the medians have crossed but the intervals touch."""
        rows = sweep("a/quadratic", lambda x: 1e-9 * x**2, LENGTHS[:4], spread=0.4)
        rows += sweep("b/linear", lambda x: 2.5e-6 * x, LENGTHS[:4], spread=0.4)
        (panel,) = panels(rows)
        found = duel(panel, "a/quadratic", "b/linear")
        assert panel.series["b/linear"][4096].median_s < panel.series["a/quadratic"][4096].median_s
        assert found.crossovers == ()
        assert found.level == (2048, 4096)

    def test_the_bracket_spans_values_that_are_level(self):
        rows = sweep("a/quadratic", lambda x: 1e-9 * x**2, spread=0.4)
        rows += sweep("b/linear", lambda x: 2.5e-6 * x, spread=0.4)
        (point,) = duel(panels(rows)[0], "a/quadratic", "b/linear").crossovers
        assert (point.low, point.high) == (1024, 8192)
        assert point.at == pytest.approx(2500, rel=1e-9)

    def test_a_lead_that_changes_twice_is_two_crossovers(self):
        cost = dict(zip(LENGTHS, (1, 1, 9, 9, 9, 1, 1), strict=True))
        rows = sweep("a/x", lambda x: cost[x] * 1e-3) + sweep("b/y", lambda _: 3e-3)
        found = duel(panels(rows)[0], "a/x", "b/y").crossovers
        assert [(point.faster, point.low, point.high) for point in found] == [
            ("b/y", 1024, 2048),
            ("a/x", 8192, 16384),
        ]

    def test_only_values_that_both_have_count(self):
        rows = sweep("a/x", lambda _: 1e-3, (512, 1024)) + sweep("b/y", lambda _: 2e-3, (1024, 2048))
        rows.append(row("a/x", T=2048, status=Status.OOM))
        (panel,) = panels(rows)
        assert duel(panel, "a/x", "b/y").first_wins == (1024,)

    def test_those_that_never_meet_have_none(self):
        assert duels(panels(sweep("a/x", lambda _: 1, (1, 2)) + sweep("b/y", lambda _: 1, (4, 8)))[0]) == ()


class TestVerdicts:
    def test_the_fastest_and_by_how_much(self):
        (panel,) = panels(quadratic_and_linear())
        found = verdicts(panel, "a/quadratic")
        assert [verdict.fastest for verdict in found] == ["a/quadratic"] * 3 + ["b/linear"] * 4
        assert found[-1].speedup.value == pytest.approx(1e-9 * 32768 / 2.5e-6)
        assert found[0].speedup.value == 1.0

    def test_those_that_overlap_are_level(self):
        rows = [row("a/x", 1.0e-3), row("b/y", 1.005e-3), row("c/z", 2e-3)]
        (verdict,) = verdicts(panels(rows)[0], None)
        assert (verdict.fastest, verdict.level, verdict.speedup) == ("a/x", ("b/y",), None)

    def test_a_baseline_without_a_time_gives_no_speedup(self):
        rows = [row("a/x"), row("b/y", status=Status.OOM)]
        (verdict,) = verdicts(panels(rows)[0], "b/y")
        assert verdict.speedup is None

    def test_a_time_of_zero_is_no_time(self):
        assert verdicts(panels([row("a/x", 0.0)])[0], None) == ()

    def test_the_default_baseline_has_the_most_times_and_leads_at_first(self):
        rows = quadratic_and_linear() + sweep("c/short", lambda _: 1e-9, LENGTHS[:2])
        assert default_baseline(panels(rows)) != "c/short"
        assert default_baseline(panels(quadratic_and_linear())) == "a/quadratic"
        assert default_baseline(panels([row("a/x", status=Status.ERROR)])) is None


def test_the_worst_error_is_the_largest_share_of_its_budget():
    one = row("a/x")
    assert worst_error(replace(one, errors={"o": error(2e-7, 1e-6), "dq": error(3e-7, 1e-3)})) == "o"
    assert worst_error(replace(one, errors={"o": error(9e-1, 1e-6), "dq": error(nonfinite=1)})) == "dq"
    assert worst_error(replace(one, errors={"o": error(float("nan"))})) == "o"
    assert worst_error(replace(one, errors={})) is None


def test_failures_are_counted_by_status():
    rows = [
        row("a/x"),
        row("a/x", status=Status.OOM),
        row("b/x", status=Status.OOM),
        row("b/x", status=Status.SKIPPED),
    ]
    assert failures(rows) == {Status.OOM: 2, Status.SKIPPED: 1}
