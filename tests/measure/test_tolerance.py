"""Tolerances from the error of the plain form in the same dtype detect small faults without false alarms."""

import math
from dataclasses import replace

import pytest
import torch

from linbench import Case
from linbench.core.registry import registry
from linbench.measure import tolerance
from linbench.measure.accuracy import complaint, errors
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
    assert complaint(errors(rounded, expected, allowed)) is None
    if dtype != "float64":  # there the plain form is the reference, and the tolerance is a constant
        wrong = {key: value.double() * (1 + 40 * UNIT_ROUNDOFF[dtype]) for key, value in rounded.items()}
        assert all(not error.within_tolerance for error in errors(wrong, expected, allowed).values())


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_mask_that_includes_one_future_token_is_detected(dtype):
    operator = registry.operator("softmax")
    case = replace(CASE, dtype=dtype)
    inputs = operator.generate(case, torch.Generator().manual_seed(0))
    q, k, v = (tensor.float().transpose(1, 2) for tensor in inputs.tensors.values())
    hidden = torch.ones(case.T, case.T, dtype=torch.bool).triu(2)
    scores = (q @ k.transpose(-1, -2) / math.sqrt(case.K)).masked_fill(hidden, -math.inf)
    o = (scores.softmax(-1) @ v).transpose(1, 2).to(getattr(torch, dtype))
    tensor_errors = errors({"o": o}, operator.expected(case, inputs), tolerances(operator, case))
    assert "o is off by" in complaint(tensor_errors)


def test_beyond_the_tokens_of_the_plain_form_a_tolerance_grows_as_the_square_root(monkeypatch):
    operator = registry.operator("linear")
    monkeypatch.setattr(tolerance, "PLAIN_TOKENS", 64)
    monkeypatch.setattr(tolerance, "RUNNING_SUM", 0.0)
    monkeypatch.setattr(tolerance, "SPACING", {"float32": 0.0})
    short, long = (tolerances(operator, replace(CASE, H=1, T=T))["o"] for T in (64, 6400))
    assert long == pytest.approx(10 * short)
    monkeypatch.setattr(tolerance, "FACTOR", 0.0)
    assert tolerances(operator, CASE)["o"] == 0


def test_a_tolerance_is_twice_the_plain_forms_error(monkeypatch):
    operator = registry.operator("linear")
    monkeypatch.setattr(tolerance, "RUNNING_SUM", 0.0)
    monkeypatch.setattr(tolerance, "SPACING", {"float32": 0.0})
    inputs = operator.generate(CASE, torch.Generator().manual_seed(0))
    plain = {"o": operator.plain_results(CASE, inputs)["o"]}
    error = errors(plain, operator.expected(CASE, inputs), {"o": 1.0})["o"]
    assert 0 < error.rel_l2 < 1e-6
    assert tolerances(operator, CASE)["o"] == pytest.approx(2 * error.rel_l2)


def test_where_the_plain_form_overflows_the_tolerance_of_the_operator_applies():
    operator = registry.operator("linear")
    case = Case(1, 512, 1, 64, 64, "float16", "fwd_bwd", options={"magnitude": "large"})
    assert tolerances(operator, case)["dk"] == operator.tolerance["float16"]


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
