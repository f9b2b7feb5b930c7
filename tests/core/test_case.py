import subprocess
import sys

import pytest

from linbench.core.case import Case
from linbench.core.codec import decode, encode
from linbench.core.measurement import Measurement, Status, Time
from linbench.core.samples import Samples

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
    assert CASE.to_json() == encode(CASE)
    assert decode(Case, CASE.to_json()) == CASE


@pytest.mark.parametrize(
    ("change", "said"),
    [({"T": 0}, "^T: "), ({"mode": "bwd"}, "^mode: "), ({"S": 1}, "^S: "), ({"options": 1}, "^options: ")],
)
def test_what_is_no_case_is_refused_by_the_name_of_the_field(change, said):
    with pytest.raises(ValueError, match=said):
        decode(Case, CASE.to_json() | change)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_only_an_ok_row_carries_a_time(status):
    time = Time("cpu", 1.0, 1.0, 1.0, (1,), samples=Samples((1.0,)))
    with pytest.raises(ValueError, match="cannot carry a time"):
        Measurement("linear", "linear/x", CASE, status, "why", time=time)
    with pytest.raises(ValueError, match="must say why"):
        Measurement("linear", "linear/x", CASE, status)
