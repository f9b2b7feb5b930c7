from dataclasses import replace

import pandas as pd
import pytest
from synthetic import error, row, table

from linbench.analysis import pareto_front
from linbench.core.measurement import Status


def at(name, median_s, rel_l2):
    return replace(row(name, median_s), errors={"o": error(rel_l2)})


def names(found):
    return list(found["implementation"])


def test_only_what_nothing_beats_in_both_stands():
    rows = [
        at("a/fast", 1, 3e-7),
        at("a/exact", 3, 1e-7),
        at("a/between", 2, 2e-7),
        at("a/beaten", 2.5, 2.5e-7),
    ]
    assert names(pareto_front(table(rows))) == ["a/fast", "a/between", "a/exact"]


def test_equals_stand_together_and_a_tie_in_one_falls():
    rows = [at("a/x", 1, 1e-7), at("b/y", 1, 1e-7), at("c/z", 1, 2e-7)]
    assert names(pareto_front(table(rows))) == ["a/x", "b/y"]


def test_failures_and_what_is_not_finite_neither_stand_nor_beat():
    wrong = replace(row("a/wrong", status=Status.WRONG), errors={"o": error(0.0)})
    rows = [wrong, at("a/nan", 0.5, float("nan")), at("a/x", 1, 1e-7), row("a/oom", status=Status.OOM)]
    assert names(pareto_front(table(rows))) == ["a/x"]


def test_one_point_is_its_own_front_and_none_has_none():
    assert names(pareto_front(table([at("a/x", 1, 1e-7)]))) == ["a/x"]
    assert pareto_front(table([])).empty


def test_any_columns_will_do():
    rows = pd.DataFrame({"implementation": ["a", "b", "c"], "x": [1, 2, 3], "y": [3, 2, 2], "z": [0, 0, 1]})
    assert names(pareto_front(rows, ("x", "y", "z"))) == ["a", "b"]
    with pytest.raises(KeyError):
        pareto_front(rows, ("nothing",))
