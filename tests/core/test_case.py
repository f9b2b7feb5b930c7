import subprocess
import sys

import pytest

from linbench.core.case import Case
from linbench.core.measurement import Measurement, Memory, Status, TensorError, Time

CASE = Case(1, 1024, 8, 64, 64, options={"feature_map": "relu"}, seed=3)


def test_the_id_is_the_same_in_another_process_and_whatever_the_order_of_options():
    code = (
        "from linbench.core.case import Case;"
        "print(Case(1, 1024, 8, 64, 64, options={'feature_map': 'relu'}, seed=3).id)"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == CASE.id == "22157da8c321"
    assert (
        Case(1, 2, 3, 4, 5, options={"a": 1, "b": 2}).id == Case(1, 2, 3, 4, 5, options={"b": 2, "a": 1}).id
    )
    assert len({Case(1, 2, 3, 4, 5, seed=seed).id for seed in range(100)}) == 100


def test_a_case_comes_back_from_json():
    assert Case.from_json(CASE.to_json()) == CASE


def test_a_row_comes_back_with_all_it_had():
    row = Measurement(
        "linear", "linear/chunk", CASE, Status.OK,
        time=Time("cpu", 2.0, 1.0, 3.0, (2, 1), (1.0, 2.0, 3.0)),
        memory=Memory(10, 5, "allocator"),
        errors={"o": TensorError(1e-7, 1e-6, 1e-5, 1.0, 0, 1e-5)},
        first_call_s=9.0,
        flags=("contended",),
        measured_at="2026-11-22T00:00:00+00:00",
    )  # fmt: skip
    assert Measurement.from_row(row.to_row("run"), {"samples_s": (1.0, 2.0, 3.0)}) == row


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_only_an_ok_row_carries_a_time(status):
    with pytest.raises(ValueError, match="cannot carry a time"):
        Measurement("linear", "linear/x", CASE, status, "why", time=Time("cpu", 1.0, 1.0, 1.0, (1,), (1.0,)))
    with pytest.raises(ValueError, match="must say why"):
        Measurement("linear", "linear/x", CASE, status)
