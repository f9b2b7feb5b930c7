import subprocess
import sys
from dataclasses import replace

import pytest

from linbench.core.case import Case
from linbench.core.codec import decode, encode
from linbench.core.errors import UsageError
from linbench.core.grid import parse_grid, typed_axes
from linbench.core.measurement import Measurement, Status, Time
from linbench.core.samples import Samples

CASE = Case(1, 1024, 8, 64, 64, options={"feature_map": "relu"}, seed=3)


def test_the_id_is_independent_of_the_process_and_of_the_order_of_options():
    code = (
        "from linbench.core.case import Case;"
        "print(Case(1, 1024, 8, 64, 64, options={'feature_map': 'relu'}, seed=3).id)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == CASE.id == "22157da8c321"
    assert (
        Case(1, 2, 3, 4, 5, options={"a": 1, "b": 2}).id == Case(1, 2, 3, 4, 5, options={"b": 2, "a": 1}).id
    )
    assert len({Case(1, 2, 3, 4, 5, seed=seed).id for seed in range(100)}) == 100


@pytest.mark.parametrize("axis", "BTHKV")
@pytest.mark.parametrize("value", [0, -1])
def test_a_case_with_an_empty_axis_is_rejected(axis, value):
    with pytest.raises(UsageError, match=f"^{axis} = {value} is not a positive count; write one like 512$"):
        replace(CASE, **{axis: value})


@pytest.mark.parametrize("axis", ["B", "tokens", "T", "H", "D", "K", "V"])
def test_empty_axes_of_a_grid_are_rejected(axis):
    message = f"{axis}: '0' is not a positive count; write one like 512, 64k or 1M"
    with pytest.raises(UsageError, match=f"^{message}$"):
        typed_axes(**{axis: 0})
    with pytest.raises(UsageError, match=f"^x.toml: axes.{message}$"):
        parse_grid(f"[axes]\n{axis} = [0]\n", "x", "x.toml")


def test_a_case_survives_a_round_trip_through_json():
    assert CASE.to_json() == encode(CASE)
    assert decode(Case, CASE.to_json()) == CASE


@pytest.mark.parametrize(
    ("change", "message"),
    [({"T": 0}, "^T: "), ({"mode": "bwd"}, "^mode: "), ({"S": 1}, "^S: "), ({"options": 1}, "^options: ")],
)
def test_invalid_cases_are_rejected_with_the_name_of_the_field(change, message):
    with pytest.raises(ValueError, match=message):
        decode(Case, CASE.to_json() | change)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_only_an_ok_measurement_has_a_time(status):
    time = Time("cpu", 1.0, 1.0, 1.0, (1,), samples=Samples((1.0,)))
    with pytest.raises(ValueError, match="cannot have a time"):
        Measurement("linear", "linear/x", CASE, status, "why", time=time)
    with pytest.raises(ValueError, match="must have a reason"):
        Measurement("linear", "linear/x", CASE, status)
