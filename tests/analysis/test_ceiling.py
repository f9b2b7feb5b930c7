import pytest
from synthetic import row, table

from linbench.analysis import Ceiling, speed_of_light
from linbench.core.measurement import Status
from linbench.core.operator import Cost

CEILING = Ceiling(flops_per_s=1e12, bytes_per_s=1e11)


def cost(operator, case):
    assert operator == "a"
    return Cost(flops=1e6 * case.T, bytes=2e5 * 1024)


def test_the_share_is_the_bound_over_the_time():
    rows = table([row("a/x", 4e-3, T=1024, spread=0.1), row("a/x", 8e-3, T=4096, spread=0.1)])
    found = speed_of_light(rows, cost, CEILING)
    assert list(found["limit"]) == ["memory", "compute"]
    assert list(found["bound_s"]) == pytest.approx([2.048e-3, 4.096e-3])
    assert list(found["share"]) == pytest.approx([0.512, 0.512])
    assert found["share_low"].iloc[0] == pytest.approx(0.512 / 1.1)
    assert found["share_high"].iloc[0] == pytest.approx(0.512 / 0.9)


def test_only_what_was_timed_has_a_share_and_the_index_is_kept():
    rows = table([row("a/x", status=Status.OOM), row("a/x"), row("a/x", 0.0)])
    assert list(speed_of_light(rows, cost, CEILING).index) == [1]
    assert speed_of_light(table([]), cost, CEILING).empty


def test_the_cost_is_asked_at_the_case_that_was_measured():
    seen = []
    options = {"feature_map": "relu", "normalise": False}
    one = row("a/x", B=3, K=32, V=16, mode="decode", seed=7, options=options)
    speed_of_light(table([one]), lambda name, case: seen.append(case) or cost(name, case), CEILING)
    assert seen == [one.case]
