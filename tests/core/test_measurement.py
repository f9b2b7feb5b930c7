from dataclasses import replace

import pytest
from synthetic import error, row

from linbench.core.measurement import Measurement, Status
from linbench.core.work import Work

WORK = Work(1e9, 3e9, 2**20)


def test_the_worst_error_is_the_largest_share_of_its_budget():
    one = row("a/x")
    assert replace(one, errors={"o": error(2e-7, 1e-6), "dq": error(3e-7, 1e-3)}).worst_tensor == "o"
    assert replace(one, errors={"o": error(9e-1, 1e-6), "dq": error(nonfinite=1)}).worst_tensor == "dq"
    assert replace(one, errors={"o": error(float("nan"))}).worst_tensor == "o"
    assert replace(one, errors={}).worst_tensor is None


def test_work_comes_back_and_a_row_of_before_it_was_kept_has_none():
    one = replace(row("a/x"), work=WORK)
    kept = one.to_row("run")
    assert (kept["useful_flops"], kept["algorithmic_flops"], kept["fewest_bytes"]) == (1e9, 3e9, 2**20)
    assert Measurement.from_row(kept) == one
    older = {name: value for name, value in kept.items() if not name.endswith("flops")}
    assert Measurement.from_row(older).work is None


def test_only_an_ok_row_carries_work():
    with pytest.raises(ValueError, match="oom cannot carry a time, memory or work"):
        replace(row("a/x", status=Status.OOM), work=WORK)


@pytest.mark.parametrize("wrong", [(-1.0, None, 1), (1.0, float("nan"), 1), (1.0, 1.0, float("inf"))])
def test_work_is_finite_and_not_negative(wrong):
    with pytest.raises(ValueError, match="where a count is finite and not negative"):
        Work(*wrong)
