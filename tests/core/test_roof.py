"""The least time for some work under given ceilings."""

import pytest

from linbench.core.case import Case
from linbench.core.ceiling import Ceiling
from linbench.core.roof import Bound, Level, Roof, bound_of, roofs_of
from linbench.core.work import Work

ROOF = Roof(1e9, (Level("L1", 1000, 1e6), Level("L2", 5000, 1e5), Level("memory", None, 1e4)))


def ceiling(name, best, threads=1, device="cpu", holds_bytes=None):
    return Ceiling(name, device, threads, "B/s", best, best / 2, best / 3, "it", holds_bytes)


CEILINGS = [
    ceiling("copy.L1", 3e11, holds_bytes=1000),
    ceiling("copy.L1", 6e11, 2, holds_bytes=2000),
    ceiling("copy.L2", 1e11, holds_bytes=8000),
    ceiling("copy.L2", 2e10, 2, holds_bytes=16000),
    ceiling("copy.memory", 1e10),
    ceiling("copy.memory", 2e10, 2),
    ceiling("matmul.float64", 2e10),
    ceiling("matmul.float32", 5e10),
    ceiling("matmul.float32", 3e10, 2),
    ceiling("matmul.bfloat16", 4e9),
    ceiling("copy.memory", 3e12, device="cuda"),
    ceiling("matmul.bfloat16", 9e14, device="cuda"),
    ceiling("dispatch", 1e-6),
]


@pytest.mark.parametrize(
    ("moved", "seconds"),
    [
        (0, 0.0),
        (500, 500 / 1e6),
        (1000, 1e-3),
        (3000, 1e-3 + 2000 / 1e5),
        (5000, 1e-3 + 4000 / 1e5),
        (25_000, 1e-3 + 4000 / 1e5 + 20_000 / 1e4),
    ],
)
def test_bytes_move_at_the_rate_of_the_nearest_level_in_which_they_fit(moved, seconds):
    assert ROOF.moving_s(moved) == pytest.approx(seconds)


def test_without_caches_the_memory_limits_all_bytes():
    assert Roof(1.0, (Level("memory", None, 1e4),)).moving_s(500) == pytest.approx(0.05)


def test_the_bound_is_the_longer_of_the_times_of_computing_and_moving():
    assert ROOF.bound(Work(2e6, None, 1000)) == Bound(2e-3, "compute")
    assert ROOF.bound(Work(5e5, 9e9, 1000)) == Bound(1e-3, "memory")  # algorithmic operations do not count


def test_a_roof_has_the_best_rates_of_any_number_of_threads():
    roof = roofs_of(CEILINGS)["cpu", "float32"]
    assert roof.flops_per_s == 5e10
    assert roof.levels == (Level("L1", 2000, 6e11), Level("L2", 16000, 1e11), Level("memory", None, 2e10))


def test_a_level_is_no_slower_than_a_level_further_away():
    ceilings = [
        ceiling("copy.L1", 1e9, holds_bytes=100),
        ceiling("copy.memory", 2e9),
        ceiling("matmul.float32", 1),
    ]
    assert roofs_of(ceilings)["cpu", "float32"].levels[0] == Level("L1", 100, 2e9)


def test_a_product_may_be_computed_in_a_wider_type():
    roofs = roofs_of(CEILINGS)
    assert roofs["cpu", "bfloat16"].flops_per_s == 5e10
    assert roofs["cpu", "float64"].flops_per_s == 2e10


def test_a_roof_needs_both_a_product_and_a_copy_in_memory():
    assert set(roofs_of(CEILINGS)) == {
        ("cpu", "float64"), ("cpu", "float32"), ("cpu", "float16"), ("cpu", "bfloat16"), ("cuda", "bfloat16"),
    }  # fmt: skip
    assert roofs_of([]) == {}
    assert roofs_of([ceiling("matmul.float32", 1e9), ceiling("copy.L2", 1e9, holds_bytes=1)]) == {}
    assert roofs_of([ceiling("matmul.float32", 0.0), ceiling("copy.memory", 1e9)]) == {}


def test_a_cache_of_unknown_capacity_is_ignored():
    ceilings = [ceiling("copy.L2", 1e12), ceiling("copy.memory", 1e9), ceiling("matmul.float32", 1e9)]
    assert roofs_of(ceilings)["cpu", "float32"].levels == (Level("memory", None, 1e9),)


def test_a_bound_needs_both_the_work_and_the_roof_of_the_case():
    roofs, work = roofs_of(CEILINGS), Work(5e10, None, 0)
    case = Case(1, 64, 1, 4, 4)
    assert bound_of(roofs, case, work) == Bound(1.0, "compute")
    assert bound_of(roofs, case, None) is None
    assert bound_of(roofs, Case(1, 64, 1, 4, 4, device="cuda"), work) is None
