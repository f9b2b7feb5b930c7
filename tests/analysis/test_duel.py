import math
import random

import pytest
from synthetic import LENGTHS, quadratic_and_linear, row, sweep, table

from linbench.analysis import Estimate, Panel, crossovers, duel, duels, panels
from linbench.core.measurement import Status
from linbench.statistics.interval import process_interval


class TestDuel:
    def test_a_crossover_is_where_the_lines_meet(self):
        (panel,) = panels(table(quadratic_and_linear()))
        result = duel(panel, "a/quadratic", "b/linear")
        (point,) = result.crossovers
        assert (point.faster, point.slower) == ("b/linear", "a/quadratic")
        assert point.at == pytest.approx(2500, rel=1e-9)
        assert (point.after, point.before) == (2048, 4096)
        assert result.first_wins == (512, 1024, 2048)
        assert result.second_wins == (4096, 8192, 16384, 32768)

    def test_it_is_symmetric(self):
        (panel,) = panels(table(quadratic_and_linear()))
        assert (
            duel(panel, "b/linear", "a/quadratic").crossovers
            == duel(panel, "a/quadratic", "b/linear").crossovers
        )

    def test_none_is_claimed_where_the_intervals_overlap_on_one_side(self):
        """At 4,096, the last value, the medians have crossed but the intervals touch."""
        rows = sweep("a/quadratic", lambda x: 1e-9 * x**2, LENGTHS[:4], spread=0.4)
        rows += sweep("b/linear", lambda x: 2.5e-6 * x, LENGTHS[:4], spread=0.4)
        (panel,) = panels(table(rows))
        result = duel(panel, "a/quadratic", "b/linear")
        assert panel.series["b/linear"][4096].value < panel.series["a/quadratic"][4096].value
        assert result.crossovers == ()
        assert result.level == (2048, 4096)

    def test_the_bracket_spans_values_that_are_level(self):
        rows = sweep("a/quadratic", lambda x: 1e-9 * x**2, spread=0.4)
        rows += sweep("b/linear", lambda x: 2.5e-6 * x, spread=0.4)
        (point,) = duel(panels(table(rows))[0], "a/quadratic", "b/linear").crossovers
        assert (point.after, point.before) == (1024, 8192)
        assert point.at == pytest.approx(2500, rel=1e-9)

    def test_a_lead_that_changes_twice_is_two_crossovers(self):
        cost = dict(zip(LENGTHS, (1, 1, 9, 9, 9, 1, 1), strict=True))
        rows = sweep("a/x", lambda x: cost[x] * 1e-3) + sweep("b/y", lambda _: 3e-3)
        points = duel(panels(table(rows))[0], "a/x", "b/y").crossovers
        assert [(point.faster, point.after, point.before) for point in points] == [
            ("b/y", 1024, 2048),
            ("a/x", 8192, 16384),
        ]

    def test_only_common_values_count(self):
        rows = sweep("a/x", lambda _: 1e-3, (512, 1024)) + sweep("b/y", lambda _: 2e-3, (1024, 2048))
        rows.append(row("a/x", T=2048, status=Status.OOM))
        (panel,) = panels(table(rows))
        assert duel(panel, "a/x", "b/y").first_wins == (1024,)

    def test_implementations_without_a_common_value_have_no_duel(self):
        assert (
            duels(panels(table(sweep("a/x", lambda _: 1, (1, 2)) + sweep("b/y", lambda _: 1, (4, 8))))[0])
            == ()
        )


class TestInterval:
    def test_known_widths_give_a_known_interval(self):
        """Slopes 2 and 1 meet at 2,500: a gap of log 2 over a doubling, with the ends at 5% each."""
        rows = sweep("a/quadratic", lambda x: 1e-9 * x**2, spread=0.05)
        rows += sweep("b/linear", lambda x: 2.5e-6 * x, spread=0.05)
        (point,) = crossovers(panels(table(rows))[0])
        d = math.hypot(math.log(1 / 0.95), math.log(1.05))  # of the gap, at every value
        for end in (point.low, point.high):
            share = math.log(end / 2048) / math.log(2)
            gap = math.log(end / 2500)
            assert abs(gap) == pytest.approx(d * math.hypot(1 - share, share), rel=1e-6)
        assert 2048 < point.low < point.at < point.high < 4096

    def test_it_shrinks_to_the_crossover_with_the_noise(self):
        rows = sweep("a/quadratic", lambda x: 1e-9 * x**2, spread=1e-6)
        rows += sweep("b/linear", lambda x: 2.5e-6 * x, spread=1e-6)
        (point,) = crossovers(panels(table(rows))[0])
        assert point.low == pytest.approx(2500, rel=1e-5)
        assert point.high == pytest.approx(2500, rel=1e-5)

    def test_it_spans_values_that_are_level(self):
        rows = sweep("a/quadratic", lambda x: 1e-9 * x**2, spread=0.5)
        rows += sweep("b/linear", lambda x: 2.5e-6 * x, spread=0.5)
        (point,) = crossovers(panels(table(rows))[0])
        assert point.after < point.low < 2048 < 4096 < point.high < point.before

    def test_it_covers_the_true_crossover_in_95_percent_or_more(self):
        """Five processes per point that differ by 5%; the true curves meet at 1,500."""
        chance, covered, claimed, tries = random.Random(5), 0, 0, 400
        xs = (256, 512, 1024, 2048, 4096, 8192)

        def sample(true):
            medians = sorted(true * math.exp(chance.gauss(0, 0.05)) for _ in range(5))
            return Estimate.over_processes(medians[2], *process_interval(medians), 5)

        for _ in range(tries):
            panel = Panel("T", {}, None)
            panel.__dict__["series"] = {
                "a/quadratic": {x: sample(1e-9 * x**2) for x in xs},
                "b/linear": {x: sample(1.5e-6 * x) for x in xs},
            }
            points = crossovers(panel)
            claimed += len(points)
            covered += sum(point.low <= 1500 <= point.high for point in points)
        assert claimed == tries
        assert 0.94 <= covered / tries < 1
