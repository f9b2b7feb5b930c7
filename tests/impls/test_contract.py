"""The contract of every registered implementation that runs on this machine."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from sample import sample_cases

from linbench import Case
from linbench.core.registry import registry
from linbench.measure.accuracy import complaint, errors
from linbench.measure.call import Call, InputsInLayout
from linbench.measure.tolerance import tolerances

registry.load()
RUNNABLE = [
    implementation
    for implementation in registry.implementations()
    if implementation.unsupported_reason(registry.operator(implementation.operator), Case(1, 64, 2, 16, 16))
    is None
    and implementation.name != "acme_delta/undamped"  # wrong on purpose
    and not implementation.name.endswith("/flex")  # compiles for seconds per shape; see test_libraries.py
]
CASES = [
    Case(2, 65, 3, 16, 24, "float32"),
    Case(2, 1, 8, 16, 16, "float32"),
    Case(1, 130, 1, 16, 8, "float64"),
    Case(1, 66, 2, 32, 32, "bfloat16"),
    Case(1, 34, 2, 16, 16, "float16"),
]
OPTIONS = [
    {"feature_map": "relu"},
    {"feature_map": "identity", "normalize": False},
    {"initial_state": True},
    {"initial_state": True, "normalize": False},
    {"cache": False},
    {"gates": "near_one"},
    {"gates": "near_zero"},
    {"negative_eigenvalues": True},
    {"features": 16},
    {"window": 16},
    {"block": 16},
    {"causal": False},
    {"group": 3},
    {"causal": False, "padding": 0.25},
    {"causal": False, "group": 3, "padding": 0.5},
    {"varlen": 3},
    {"causal": False, "varlen": 8},
    {"group": 3, "varlen": 2},
    {"normalize": False, "varlen": 3},
]


MODES = ("fwd", "fwd_bwd", "prefill", "decode")


def supported(cases):
    """Return a parameter for each implementation and case that it declares to support; see sample.py."""
    cases, parameters = list(cases), {}
    for implementation in RUNNABLE:
        operator = registry.operator(implementation.operator)
        for case in map(operator.complete, cases):
            if implementation.unsupported_reason(operator, case) is None:
                parameters[f"{implementation.name} {case}"] = implementation, case
    return sample_cases(parameters)


@cache
def expected_values(operator, case):
    """Return the expected values of an operator at a case, and their tolerances."""
    return operator.expected(case, InputsInLayout(operator, case).canonical), tolerances(operator, case)


def call_errors(implementation, case):
    """Return the errors and the results of one call."""
    operator = registry.operator(implementation.operator)
    in_layout = InputsInLayout(operator, case)
    expected, allowed = expected_values(operator, case)
    call = Call(operator, implementation, case, in_layout)
    call.prepare()
    results = call.results(call())
    assert in_layout.changed(implementation) is None
    return errors(results, expected, allowed, operator.result_axes), results


@pytest.mark.parametrize(
    ("implementation", "case"), supported(replace(case, mode=mode) for case in CASES for mode in MODES)
)
def test_every_tensor_is_within_its_tolerance(implementation, case):
    result_errors, _ = call_errors(implementation, case)
    assert complaint(result_errors) is None, result_errors


@pytest.mark.parametrize(
    ("implementation", "case"),
    supported(
        replace(CASES[0], B=1 if "varlen" in options else 2, V=16, mode=mode, options=options)
        for options in OPTIONS
        for mode in MODES
    ),
)
def test_every_option_matches_the_reference(implementation, case):
    result_errors, _ = call_errors(implementation, case)
    assert complaint(result_errors) is None, result_errors


@pytest.mark.parametrize("implementation", RUNNABLE, ids=lambda implementation: implementation.name)
def test_no_output_is_left_unwritten(implementation):
    torch.use_deterministic_algorithms(True, warn_only=True)  # torch.empty is then filled with NaN
    try:
        result_errors, _ = call_errors(implementation, replace(CASES[0], V=16))
    finally:
        torch.use_deterministic_algorithms(False)
    assert complaint(result_errors) is None


@pytest.mark.parametrize("implementation", RUNNABLE, ids=lambda implementation: implementation.name)
def test_strided_and_contiguous_inputs_have_equal_results(implementation):
    operator = registry.operator(implementation.operator)
    generator = torch.Generator().manual_seed(0)
    tensors = list(operator.generate(Case(2, 65, 3, 16, 16), generator).tensors.values())
    wide = [torch.stack([tensor, torch.full_like(tensor, torch.nan)], -1)[..., 0] for tensor in tensors]
    assert not wide[0].is_contiguous()
    torch.testing.assert_close(implementation(*wide), implementation(*tensors))


def test_a_wrong_implementation_exceeds_its_tolerance():
    result_errors, _ = call_errors(registry.implementation("acme_delta/undamped"), CASES[0])
    assert "o is off by" in complaint(result_errors)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", [implementation.name for implementation in registry.implementations()])
def test_results_on_a_cuda_device_are_within_tolerance(name, mode):
    implementation = registry.implementation(name)
    operator = registry.operator(implementation.operator)
    shapes = [(2, 65, 3, 64, 64), (1, 1000, 4, 128, 128), (1, 257, 2, 32, 64)]
    supported_cases = 0
    for dtype in ("float32", "float16", "bfloat16"):
        for shape in shapes:
            case = operator.complete(Case(*shape, dtype, mode, "cuda"))
            if implementation.unsupported_reason(operator, case) is None and name != "acme_delta/undamped":
                result_errors, _ = call_errors(implementation, case)
                assert complaint(result_errors) is None, (case, result_errors)
                supported_cases += 1
    if not supported_cases:
        pytest.skip(f"{name} supports none of the cases in {mode}")
