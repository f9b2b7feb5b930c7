import pytest
from synthetic import LENGTHS, quadratic_and_linear, row, sweep, table

from linbench.analysis import default_baseline, panels, winners
from linbench.core.measurement import Status


class TestWinners:
    def test_the_fastest_and_by_how_much(self):
        (panel,) = panels(table(quadratic_and_linear()))
        result = winners(panel, "a/quadratic")
        assert [winner.fastest for winner in result] == ["a/quadratic"] * 3 + ["b/linear"] * 4
        assert result[-1].speedup.value == pytest.approx(1e-9 * 32768 / 2.5e-6)
        assert result[0].speedup.value == 1.0

    def test_overlapping_intervals_are_level(self):
        rows = [row("a/x", 1.0e-3), row("b/y", 1.005e-3), row("c/z", 2e-3)]
        (winner,) = winners(panels(table(rows))[0], None)
        assert (winner.fastest, winner.level, winner.speedup) == ("a/x", ("b/y",), None)

    def test_a_baseline_without_a_time_has_no_speedup(self):
        rows = [row("a/x"), row("b/y", status=Status.OOM)]
        (winner,) = winners(panels(table(rows))[0], "b/y")
        assert winner.speedup is None

    def test_a_time_of_zero_is_ignored(self):
        assert winners(panels(table([row("a/x", 0.0)]))[0], None) == ()

    def test_the_default_baseline_has_the_most_times_and_leads_at_first(self):
        rows = quadratic_and_linear() + sweep("c/short", lambda _: 1e-9, LENGTHS[:2])
        assert default_baseline(panels(table(rows))) != "c/short"
        assert default_baseline(panels(table(quadratic_and_linear()))) == "a/quadratic"
        assert default_baseline(panels(table([row("a/x", status=Status.ERROR)]))) is None
