from dataclasses import replace

from synthetic import realistic, row, run_of, table

from linbench.analysis import crossovers, panels, tabulate
from linbench.analysis.panel import options_text, varying_axis
from linbench.store.table import frame


class TestAxis:
    def test_it_is_T_if_T_varies(self):
        rows = [row("a/x", T=512, B=b) for b in (1, 2, 4)] + [row("a/x", T=1024)]
        assert varying_axis(table(rows)) == "T"

    def test_it_is_otherwise_the_axis_that_varies_most(self):
        assert varying_axis(table([row("a/x", K=k, V=k, H=h) for k in (32, 64, 128) for h in (1, 2)])) == "K"
        assert varying_axis(table([row("a/x", H=h) for h in (1, 2)])) == "H"

    def test_it_is_T_if_nothing_varies(self):
        assert varying_axis(table([row("a/x")])) == "T"
        assert varying_axis(table([])) == "T"


class TestPanels:
    def test_no_row_is_dropped(self):
        rows = realistic().measurements
        result = panels(table(rows))
        assert [panel.settings["mode"] for panel in result] == ["fwd", "fwd_bwd", "decode"]
        assert sorted(number for panel in result for number in panel.rows.index) == list(range(len(rows)))

    def test_each_panel_fixes_all_but_the_axis(self):
        rows = [
            row("a/x", T=t, B=b, H=h, dtype=d)
            for t in (1, 2)
            for b in (1, 2)
            for h in (1, 2)
            for d in ("float32", "float16")
        ]
        result = panels(table(rows))
        assert len(result) == 8
        assert all(panel.xs == [1, 2] and len(panel.rows) == 2 for panel in result)

    def test_a_batch_that_follows_T_does_not_divide_the_rows(self):
        (panel,) = panels(table([row("a/x", T=t, B=4096 // t) for t in (512, 1024, 2048)]))
        assert panel.settings["B"] == "follows T"
        assert panel.xs == [512, 1024, 2048]

    def test_a_value_size_that_follows_K_does_not_divide_the_rows(self):
        (panel,) = panels(table([row("a/x", K=k, V=k) for k in (32, 64)]))
        assert (panel.axis, panel.settings["V"]) == ("K", "follows K")

    def test_an_operator_with_one_set_of_options_is_in_every_panel(self):
        rows = [row("linear/chunk", options={"feature_map": name}) for name in ("elu", "relu")]
        result = panels(table([*rows, row("softmax/flash")]))
        assert [panel.settings["options"] for panel in result] == ["feature_map=elu", "feature_map=relu"]
        assert [set(panel.rows["implementation"]) for panel in result] == [
            {"linear/chunk", "softmax/flash"}
        ] * 2

    def test_options_are_written_in_command_line_form(self):
        assert options_text({"normalise": False, "chunk": 64}) == "chunk=64 normalise=false"

    def test_an_empty_table_has_no_panels(self):
        assert panels(table([])) == ()

    def test_two_runs_of_the_same_case_are_in_separate_panels(self):
        run = run_of([row("a/x", T=t) for t in (1, 2)])
        result = panels(frame([run, replace(run, id="another")]).reset_index(drop=True))
        assert [panel.settings["run"] for panel in result] == [run.id, "another"]
        assert "run" not in panels(frame([run]))[0].settings


def test_each_result_in_each_panel_is_a_row():
    points = tabulate(frame([realistic()]), crossovers)
    selection = points[(points["mode"] == "fwd") & (points["faster"] == "linear/chunk")]
    assert list(selection["slower"]) == [
        *("linear/naive", "softmax/efficient", "softmax/flash", "softmax/math", "softmax/naive")
    ]
    assert {"mode", "dtype", "K/V", "axis", "slower", "faster", "at", "low", "high"} <= set(points)
    assert tabulate(table([]), crossovers).empty
