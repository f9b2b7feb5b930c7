"""Tolerances from the error of the plain form in the same dtype detect small faults without false alarms."""

import math
from dataclasses import replace

import pytest
import torch

from linbench import Case
from linbench.core.measurement import Tolerance
from linbench.core.registry import registry
from linbench.measure import tolerance
from linbench.measure.accuracy import complaint, errors, row_errors
from linbench.measure.rows import ZONES
from linbench.measure.tolerance import tolerances

registry.load()
CASE = Case(1, 96, 2, 32, 32)
UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


@pytest.mark.parametrize("dtype", UNIT_ROUNDOFF)
@pytest.mark.parametrize("name", ["linear", "softmax", "gated_delta"])
@pytest.mark.parametrize("mode", ["fwd", "fwd_bwd"])
def test_a_result_rounded_once_is_within_tolerance_and_an_error_of_forty_roundings_is_not(name, dtype, mode):
    operator = registry.operator(name)
    case = operator.complete(replace(CASE, dtype=dtype, mode=mode))
    inputs = operator.generate(case, torch.Generator().manual_seed(0))
    expected, allowed = operator.expected(case, inputs), tolerances(operator, case)
    rounded = {key: entry.value.to(getattr(torch, dtype)) for key, entry in expected.items()}
    assert complaint(errors(rounded, expected, allowed, operator.result_axes)) is None
    if dtype != "float64":  # there the plain form is the reference, and the tolerance is a constant
        wrong = {key: value.double() * (1 + 40 * UNIT_ROUNDOFF[dtype]) for key, value in rounded.items()}
        assert all(
            not error.within_tolerance
            for error in errors(wrong, expected, allowed, operator.result_axes).values()
        )


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_mask_that_includes_one_future_token_is_detected(dtype):
    operator = registry.operator("softmax")
    case = replace(CASE, dtype=dtype)
    inputs = operator.generate(case, torch.Generator().manual_seed(0))
    q, k, v = (tensor.float().transpose(1, 2) for tensor in inputs.tensors.values())
    hidden = torch.ones(case.T, case.T, dtype=torch.bool).triu(2)
    scores = (q @ k.transpose(-1, -2) / math.sqrt(case.K)).masked_fill(hidden, -math.inf)
    o = (scores.softmax(-1) @ v).transpose(1, 2).to(getattr(torch, dtype))
    tensor_errors = errors(
        {"o": o}, operator.expected(case, inputs), tolerances(operator, case), operator.result_axes
    )
    assert "o is off by" in complaint(tensor_errors)


def test_beyond_the_tokens_of_the_plain_form_a_tolerance_grows_as_the_square_root(monkeypatch):
    operator = registry.operator("linear")
    monkeypatch.setattr(tolerance, "PLAIN_TOKENS", 64)
    monkeypatch.setattr(tolerance, "RUNNING_SUM", 0.0)
    monkeypatch.setattr(tolerance, "SPACING", {"float32": 0.0})
    short, long = (tolerances(operator, replace(CASE, H=1, T=T))["o"].rel_l2 for T in (64, 6400))
    assert long == pytest.approx(10 * short)
    monkeypatch.setattr(tolerance, "FACTOR", {"float32": 0.0})
    monkeypatch.setattr(tolerance, "ROW_FACTOR", {"float32": 0.0})
    assert tolerances(operator, CASE)["o"] == Tolerance(0.0, (0.0,) * ZONES, 0.0)


def test_a_tolerance_is_four_times_the_plain_forms_error_in_float32(monkeypatch):
    operator = registry.operator("linear")
    monkeypatch.setattr(tolerance, "LEAST_ROWS", 1)  # only the rows of the case itself
    monkeypatch.setattr(tolerance, "RUNNING_SUM", 0.0)
    monkeypatch.setattr(tolerance, "SPACING", {"float32": 0.0})
    inputs = operator.generate(CASE, torch.Generator().manual_seed(0))
    plain = {"o": operator.plain_results(CASE, inputs)["o"]}
    unlimited = {"o": tolerance.UNLIMITED}
    error = errors(plain, operator.expected(CASE, inputs), unlimited, operator.result_axes)["o"]
    assert 0 < error.rel_l2 < 1e-6
    limits = tolerances(operator, CASE)["o"]
    assert limits.rel_l2 == pytest.approx(4 * error.rel_l2)
    rows = row_errors(plain["o"], operator.expected(CASE, inputs)["o"], "BTHV")
    assert max(limits.rows) == pytest.approx(8 * max(rows))
    assert limits.head == pytest.approx(4 * error.head_error)


def test_where_the_plain_form_overflows_the_tolerance_of_the_operator_applies():
    operator = registry.operator("linear")
    case = Case(1, 512, 1, 64, 64, "float16", "fwd_bwd", options={"magnitude": "large"})
    assert tolerances(operator, case)["dk"].rel_l2 == operator.tolerance["float16"]


@pytest.mark.parametrize("name", ["linear", "softmax"])
def test_large_inputs_are_larger(name):
    operator = registry.operator(name)
    small, large = (
        operator.generate(
            operator.complete(CASE.with_options({"magnitude": size})), torch.Generator().manual_seed(0)
        ).tensors["q"]
        for size in ("unit", "large")
    )
    torch.testing.assert_close(large, 4 * small)
