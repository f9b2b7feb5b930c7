from dataclasses import replace

import pytest

from linbench import api
from linbench.core.case import Case
from linbench.core.codec import decode, encode
from linbench.core.errors import UsageError
from linbench.core.grid import Axes, Grid, grid_names, load_grid, parse_grid, typed_axes


def test_every_shipped_grid_expands_on_both_devices():
    assert set(grid_names()) == {
        "quick", "long-seq", "batch", "head-dim", "decode", "constant-tokens", "paper", "accuracy", "decay",
        "field", "family-features", "family-gated", "family-delta", "family-softmax", "varlen", "padding",
        "check", "options",
    }  # fmt: skip
    for name in grid_names():
        grid = load_grid(name)
        assert grid.description
        for device in ("cpu", "cuda"):
            cases = grid.cases(device)
            assert cases
            assert {case.device for case in cases} == {device}
            assert decode(Grid, encode(grid)).cases(device) == cases


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_option_of_every_operator_is_set_by_a_shipped_grid(loaded, device):
    options = set()
    for grid in map(load_grid, grid_names()):
        for name in grid.operators or [operator.name for operator in loaded.operators()]:
            operator = loaded.operator(name)
            for case in map(operator.complete, grid.cases(device)):
                if operator.unsupported_reason(case) is None:
                    options |= {(name, option) for option in case.options}
    assert options == {
        (operator.name, option) for operator in loaded.operators() for option in operator.options
    }


def test_long_seq_reaches_32k_on_a_cpu_and_1m_on_a_gpu():
    grid = load_grid("long-seq")
    on_cpu, on_cuda = grid.cases("cpu"), grid.cases("cuda")
    assert max(case.T for case in on_cpu) == 32 * 1024
    assert {case.dtype for case in on_cpu} == {"float32"}
    assert max(case.T for case in on_cuda) == 2**20
    assert {case.dtype for case in on_cuda} == {"bfloat16"}


def test_constant_tokens_keeps_the_product_of_b_and_t():
    assert {case.B * case.T for case in load_grid("constant-tokens").cases("cpu")} == {8192}


def test_axes_override_those_of_the_grid_on_every_device():
    grid = load_grid("quick").override(typed_axes(T="1k,2k", B=3, D="32", mode="fwd"))
    for device in ("cpu", "cuda"):
        cases = grid.cases(device)
        assert [(case.B, case.T, case.K, case.V) for case in cases] == [(3, 1024, 32, 32), (3, 2048, 32, 32)]


def test_k_and_v_are_set_alone_or_together():
    def dims(**axes):
        return [(case.K, case.V) for case in Grid("axes", axes=typed_axes(T=16, **axes)).cases("cpu")]

    assert dims(D="16,32") == [(16, 16), (32, 32)]
    assert dims(K="16,32", V="64") == [(16, 64), (32, 64)]
    assert dims(K="16,32") == [(16, 16), (32, 32)]
    narrowed = Grid("axes", axes=typed_axes(T=16, D=64)).override(typed_axes(K="16"))
    assert [(case.K, case.V) for case in narrowed.cases("cpu")] == [(16, 64)]


def test_options_multiply_the_cases():
    axes = typed_axes(T=16, options={"feature_map": ["elu1", "relu"], "normalize": [True]})
    cases = Grid("axes", axes=axes).cases("cpu")
    assert [case.options for case in cases] == [
        {"feature_map": "elu1", "normalize": True},
        {"feature_map": "relu", "normalize": True},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[axes]\nQ = 1", "axes.Q is not a key of a grid; allowed: B, tokens, T"),
        ("[axes]\nT = -1", "axes.T: '-1' is not a positive count"),
        ("[axes]\nT = true", "axes.T: write a count"),
        ('[axes]\ndtype = "float8"', "axes.dtype"),
        ("[axes]\n[device.tpu]\nT = 1", "device.tpu is not a kind of device; allowed: cpu, cuda"),
        ("axes", "not TOML"),
        ("", "axes: Field required"),
        ("[axes]\n[device.cpu]\nX = 1", "device.cpu.X is not a key of a grid; allowed: B"),
        ("shape = 1\n[axes]", "shape is not a key of a grid; allowed: description, operators, axes, device"),
    ],
)
def test_an_invalid_grid_file_is_rejected_with_the_name_of_the_key(text, message):
    with pytest.raises(UsageError) as caught:
        parse_grid(text, "mine", "mine.toml")
    assert str(caught.value).startswith("mine.toml: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_grid_is_rejected_with_a_similar_name():
    with pytest.raises(UsageError, match="did you mean long-seq"):
        load_grid("long-sec")


def test_a_grid_may_name_its_operators():
    grid = parse_grid('operators = ["linear"]\n[axes]\nT = 4', "mine", "mine.toml")
    assert grid.operators == ("linear",)
    assert decode(Grid, encode(grid)) == grid
    assert grid.override(typed_axes(T="8")).operators == ("linear",)


@pytest.mark.parametrize(
    ("selection", "operators"),
    [
        ({}, {"linear"}),
        ({"op": ["softmax"]}, {"softmax"}),
        ({"impl": ["softmax/naive"]}, {"softmax"}),
        ({"impl": ["softmax/naive"], "op": ["linear"]}, {"linear", "softmax"}),
    ],
)
def test_the_operators_of_a_grid_apply_unless_others_are_selected(selection, operators):
    grid = parse_grid('operators = ["linear"]\n[axes]\nT = 4', "mine", "mine.toml")
    plan = api.plan_run(grid, device="cpu", axes=Axes(), **selection)
    assert {job.operator for job in plan.jobs} == operators


def test_an_unknown_operator_of_a_grid_is_rejected():
    grid = parse_grid('operators = ["liner"]\n[axes]\nT = 4', "mine", "mine.toml")
    with pytest.raises(UsageError, match="unknown operator 'liner'; did you mean linear"):
        api.plan_run(grid, device="cpu", axes=Axes())


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"T": "x"}, "T: 'x' is not a positive count; write one like 512, 64k or 1M"),
        ({"T": 1.5}, "T: write a count like 512 or 64k, a range like 1k..64k, or a list of them, not 1.5"),
        ({"mode": ["fwd", "back"]}, "mode: 'back' is not one of fwd, fwd_bwd, prefill, decode"),
        ({"D": 64, "K": 32}, "D sets K and V; leave D out, or K and V"),
        ({"Q": 1}, "unknown axis 'Q'; axes: B, tokens, T, H, D, K, V, dtype, mode, seed, options"),
    ],
)
def test_an_invalid_axis_is_rejected_by_name(axes, message):
    with pytest.raises(UsageError) as caught:
        typed_axes(**axes)
    assert str(caught.value) == message


def test_axes_contain_the_cases_that_have_one_value_of_each():
    axes = typed_axes(T="64..256", D=32, mode="fwd,decode", seed=0, options={"feature_map": ["elu1", "relu"]})
    case = Case(2, 128, 4, 32, 32, mode="decode", options={"feature_map": "relu"})
    assert axes.contains(case)
    assert typed_axes(tokens=256).contains(case)
    options = {"feature_map": "identity"}
    changes = {"T": 512}, {"V": 16}, {"mode": "fwd_bwd"}, {"options": options}, {"seed": 1}
    for change in changes:
        assert not axes.contains(replace(case, **change))
    assert not typed_axes(tokens=128).contains(case)
