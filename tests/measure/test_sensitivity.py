"""One planted error in one token, head or entry is wrong in every dtype; the plain form itself is right."""

import math
from dataclasses import replace

import pytest
import torch

from linbench.core.case import Case
from linbench.measure.accuracy import complaint, errors
from linbench.measure.tolerance import NoTolerance, tolerances

DTYPES = ("float32", "bfloat16", "float16")
LENGTHS = (127, 1000)


@pytest.fixture(scope="module")
def cases(loaded):
    """Return what a case expects, what its plain form returns, and the tolerances; each once."""
    known = {}

    def of(name, T, dtype, mode="fwd_bwd", **axes):
        key = (name, T, dtype, mode, *axes.items())
        if key not in known:
            operator = loaded.operator(name)
            case = operator.complete(Case(1, T, 4, 64, 32, dtype, mode, **axes))
            inputs = operator.generate(case, torch.Generator().manual_seed(0))
            expected = operator.expected(case, inputs)
            known[key] = (
                (operator, case, inputs, expected),
                operator.plain_results(case, inputs),
                tolerances(operator, case),
            )
        return known[key]

    return of


def reason(case, results):
    (operator, _, _, expected), _, limits = case
    return complaint(errors(results, expected, limits, operator.result_axes))


def changed(case, name, change):
    """Return why the results of the plain form are wrong when one of them is changed."""
    results = dict(case[1])
    results[name] = results[name].clone()
    change(results[name])
    return reason(case, results)


def zero(*index):
    return lambda tensor: tensor.__setitem__(index, 0)


def times(factor, *index):
    return lambda tensor: tensor.__setitem__(index or ..., tensor[index or ...] * factor)


ALL = slice(None)
FAULTS = {
    "the last token of o is zero": ("linear", "o", zero(ALL, -1)),
    "the last token of dq is zero": ("linear", "dq", zero(ALL, -1)),
    "dk of the last 5% of keys is zero": (
        "linear",
        "dk",
        lambda dk: zero(ALL, slice(-dk.shape[1] // 20, None))(dk),
    ),
    "the last row of softmax is zero": ("softmax", "o", zero(ALL, -1)),
    "one head is 1% too large": ("retention", "o", times(1.01, ALL, ALL, 1)),
    "all of o is 1% too large": ("retention", "o", times(1.01)),
    "one row is zero": ("retention", "o", zero(0, 64, 2)),
    "dg is 1% too large": ("simple_gla", "dg", times(1.01)),
    "one head of dv is zero": ("softmax", "dv", zero(ALL, ALL, 3)),
    "one element is NaN": ("linear", "o", lambda o: o.__setitem__((0, 5, 1, 3), math.nan)),
}


@pytest.mark.parametrize("T", LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["linear", "softmax", "retention", "simple_gla"])
def test_the_plain_form_is_right(cases, name, dtype, T):
    case = cases(name, T, dtype)
    assert reason(case, case[1]) is None


@pytest.mark.parametrize("T", LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_error_is_wrong(cases, fault, dtype, T):
    operator, name, change = FAULTS[fault]
    message = changed(cases(operator, T, dtype), name, change)
    assert message is not None
    assert f"{name} " in message
    assert "; first at b 0, " in message


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dropped_tail_is_wrong_and_named(cases, dtype):
    message = changed(cases("linear", 4097, dtype, "fwd"), "o", zero(ALL, slice(4096, None)))
    assert "only the last token" in message
    message = changed(cases("linear", 1000, dtype, "fwd"), "o", zero(ALL, slice(960, None)))
    assert "only the last partial chunk, from token 960 (T = 960 + 40)" in message


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_denominator_with_a_large_epsilon_is_wrong(cases, dtype):
    """In bfloat16 it changes the first token by 0.15%, less than the spacing of the dtype."""
    case = cases("linear", 1000, dtype, "fwd")
    (operator, problem, inputs, expected), _, _ = case
    q, k = (torch.nn.functional.elu(inputs.tensors[name].double()) + 1 for name in "qk")
    denominators = torch.einsum("bthk,bthk->bth", q, k.cumsum(1))
    o = expected["o"].value * (denominators / (denominators + 0.1))[..., None]
    assert reason(case, {"o": o.to(getattr(torch, dtype))}) is not None
    del operator, problem


@pytest.mark.parametrize("T", LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_future_key_at_every_block_edge_is_wrong(cases, dtype, T):
    case = cases("softmax", T, dtype, "fwd")
    q, k, v = (x.double().transpose(1, 2) for x in case[0][2].tensors.values())
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    seen = torch.ones(T, T, dtype=torch.bool).tril()
    edges = torch.arange(63, T - 1, 64)
    seen[edges, edges + 1] = True
    o = (scores.masked_fill(~seen, -math.inf).softmax(-1) @ v).transpose(1, 2)
    message = reason(case, {"o": o.to(getattr(torch, dtype))})
    assert "first at b 0, t 63, " in message


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_state_that_does_not_advance_or_loses_digits_is_wrong_in_decode(cases, dtype):
    case = cases("linear", 1000, dtype, "decode")
    before = dict(zip("Sz", case[0][2].state, strict=True))
    assert reason(case, case[1] | {"z": before["z"]}) is not None
    assert reason(case, case[1] | {"S": case[1]["S"].bfloat16().float()}) is not None


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_without_its_own_key_is_wrong_in_decode(cases, dtype):
    case = cases("softmax", 127 if dtype == "bfloat16" else 1000, dtype, "decode")
    (_, problem, inputs, _), right, _ = case
    q = inputs.tensors["q"].double()
    k, v = (part.double()[:, :-1] for part in inputs.state)
    weights = torch.einsum("bthk,buhk->bhtu", q, k).div(math.sqrt(problem.K)).softmax(-1)
    o = torch.einsum("bhtu,buhv->bthv", weights, v)
    assert reason(case, right | {"o": o.to(getattr(torch, dtype))}) is not None


def test_a_copy_that_is_not_exact_is_wrong(cases):
    case = cases("softmax", 127, "bfloat16", "prefill")
    assert reason(case, case[1]) is None
    assert changed(case, "k_cache", times(1 + 2**-7, 0, 5, 1, 3)) is not None


def test_a_case_whose_plain_form_is_far_off_is_refused(loaded):
    operator = loaded.operator("performer")
    case = operator.complete(Case(1, 127, 4, 64, 32, "float16", "fwd", options={"magnitude": "large"}))
    with pytest.raises(NoTolerance, match=r"cannot be checked in float16: .* a tolerance is at most 0\.1"):
        tolerances(operator, case)


def test_half_types_have_no_growth_with_the_length(loaded):
    operator = loaded.operator("linear")
    short, long = (
        tolerances(operator, Case(1, T, 4, 64, 32, "bfloat16", "fwd"))["o"].rel_l2 for T in (2048, 2**20)
    )
    assert long < 1.01 * short


@pytest.mark.parametrize("size", [192, 256])
def test_the_running_term_counts_the_head_dimensions_at_one_token(loaded, size):
    operator = loaded.operator("linear")
    limits = tolerances(operator, Case(1, 1, 2, size, size, "float32", "fwd"))
    assert limits["o"].rel_l2 > 2 * 2**-26 * math.sqrt(2 * size)


@pytest.mark.parametrize(
    ("dtype", "row", "head"), [("float32", 1e-3, 1e-5), ("float16", 0.02, 0.002), ("bfloat16", 0.1, 0.01)]
)
def test_the_least_error_that_is_caught(cases, dtype, row, head):
    """A row that is off by 10% and a head that is off by 1% are wrong in bfloat16, less in wider dtypes."""
    for name in ("linear", "softmax", "retention", "simple_gla"):
        for T in LENGTHS:
            case = cases(name, T, dtype)
            assert changed(case, "o", times(1 + row, 0, T // 2, 1)) is not None, (name, T)
            assert changed(case, "o", times(1 + head, ALL, ALL, 1)) is not None, (name, T)


def test_the_error_of_a_slice_is_that_of_the_whole(monkeypatch, cases):
    case = cases("retention", 1000, "bfloat16")
    (operator, _, _, expected), results, limits = case
    whole = errors(results, expected, limits, operator.result_axes)
    monkeypatch.setattr("linbench.measure.accuracy.SLICE_ELEMENTS", 5000)
    sliced = errors(results, expected, limits, operator.result_axes)
    for name, error in whole.items():
        assert sliced[name].row_error == pytest.approx(error.row_error)
        assert sliced[name].head_error == pytest.approx(error.head_error)
        assert replace(sliced[name], row_error=None, head_error=None).tolerance == error.tolerance
