from dataclasses import replace

import pandas as pd
import pytest
from synthetic import error, row, table

from linbench.analysis import pareto_front
from linbench.core.measurement import Status


def at(name, median_s, rel_l2):
    return replace(row(name, median_s), errors={"o": error(rel_l2)})


def names(rows):
    return list(rows["implementation"])


def test_only_rows_that_none_dominates_are_in_the_front():
    rows = [
        at("a/fast", 1, 3e-7),
        at("a/exact", 3, 1e-7),
        at("a/between", 2, 2e-7),
        at("a/dominated", 2.5, 2.5e-7),
    ]
    assert names(pareto_front(table(rows))) == ["a/fast", "a/between", "a/exact"]


def test_equal_rows_are_both_in_the_front_and_a_tie_in_one_cost_is_not_enough():
    rows = [at("a/x", 1, 1e-7), at("b/y", 1, 1e-7), at("c/z", 1, 2e-7)]
    assert names(pareto_front(table(rows))) == ["a/x", "b/y"]


def test_failures_and_non_finite_costs_are_ignored():
    wrong = replace(row("a/wrong", status=Status.WRONG), errors={"o": error(0.0)})
    rows = [wrong, at("a/nan", 0.5, float("nan")), at("a/x", 1, 1e-7), row("a/oom", status=Status.OOM)]
    assert names(pareto_front(table(rows))) == ["a/x"]


def test_a_single_point_is_the_front_and_no_point_has_none():
    assert names(pareto_front(table([at("a/x", 1, 1e-7)]))) == ["a/x"]
    assert pareto_front(table([])).empty


def test_any_columns_can_be_costs():
    rows = pd.DataFrame({"implementation": ["a", "b", "c"], "x": [1, 2, 3], "y": [3, 2, 2], "z": [0, 0, 1]})
    assert names(pareto_front(rows, ("x", "y", "z"))) == ["a", "b"]
    with pytest.raises(KeyError):
        pareto_front(rows, ("nothing",))
