"""The oracle itself: its two forms agree, and a sample of it is the whole of it."""

import pytest
import torch

from linbench import Case
from linbench_impls.softmax import operator as softmax_operator

DEFAULT = Case(2, 67, 3, 16, 24, "float64")


def exact(operator, case):
    inputs = operator.generate(case, torch.Generator().manual_seed(case.seed))
    return {name: tensor.double() for name, tensor in inputs.tensors.items()}, inputs.state


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("linear", {}),
        ("linear", {"feature_map": "relu"}),
        ("linear", {"feature_map": "identity", "normalize": False}),
        ("linear", {"normalize": False}),
        ("linear", {"initial_state": True}),
        ("softmax", {}),
    ],
)
def test_recurrent_and_parallel_form_agree(loaded, name, options):
    operator = loaded.operator(name)
    case = DEFAULT.with_options(options)
    tensors, state = exact(operator, case)
    state = None if state is None else tuple(part.double() for part in state)
    leaves = [tensor.requires_grad_() for tensor in tensors.values()]
    upstream = torch.randn(2, 67, 3, 24, dtype=torch.float64)
    found = []
    for form in (operator.reference, operator.recurrence):
        o, final = form(tensors, state, operator.option_values(case))
        found.append([o, *final, *torch.autograd.grad(o, leaves, upstream)])
    for one, other in zip(*found, strict=True):
        assert torch.linalg.norm(one - other) <= 1e-13 * torch.linalg.norm(other)


@pytest.mark.parametrize("name", ["linear", "softmax"])
def test_the_reference_has_the_gradient_of_its_own_differences(loaded, name):
    operator = loaded.operator(name)
    case = Case(1, 5, 2, 3, 4, "float64")
    tensors, _ = exact(operator, case)
    names = list(tensors)

    def output(*leaves):
        return operator.reference(dict(zip(names, leaves, strict=True)), None, operator.option_values(case))[
            0
        ]

    assert torch.autograd.gradcheck(output, [tensor.requires_grad_() for tensor in tensors.values()])


def test_heads_in_slices_are_heads_at_once(loaded, monkeypatch):
    operator = loaded.operator("linear")
    case = Case(2, 40, 5, 8, 8, mode="fwd_bwd")
    inputs = operator.generate(case, torch.Generator().manual_seed(0))
    whole = operator.expected(case, inputs)
    monkeypatch.setattr("linbench.core.operator.ORACLE_SLICE_BYTES", operator.oracle_head_bytes(case) * 2)
    sliced = operator.expected(case, inputs)
    assert whole.keys() == sliced.keys() == {"o", "dq", "dk", "dv"}
    for name, due in whole.items():
        torch.testing.assert_close(sliced[name].value, due.value, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("mode", ["fwd", "fwd_bwd", "prefill", "decode"])
@pytest.mark.parametrize("options", [{}, {"cache": False}])
def test_softmax_at_sampled_positions_is_the_whole_oracle_there(loaded, monkeypatch, mode, options):
    operator = loaded.operator("softmax")
    case = operator.complete(Case(2, 150, 3, 8, 12, mode=mode).with_options(options))
    inputs = operator.generate(case, torch.Generator().manual_seed(0))
    whole = operator.expected(case, inputs)
    monkeypatch.setattr(softmax_operator, "WHOLE_SCORES", 0)
    sampled = operator.expected(case, inputs)
    assert whole.keys() == sampled.keys()
    for name, due in sampled.items():
        complete = whole[name].value
        assert due.value.numel() <= complete.numel()
        torch.testing.assert_close(due.value, complete[due.index], rtol=1e-12, atol=1e-13)


def test_the_same_case_gives_the_same_inputs_and_another_seed_others(loaded):
    operator = loaded.operator("linear")

    def q(seed):
        return operator.generate(DEFAULT, torch.Generator().manual_seed(seed)).tensors["q"]

    assert torch.equal(q(1), q(1))
    assert not torch.equal(q(1), q(2))


def test_options_that_say_nothing_leave_the_case_alone(loaded):
    linear, softmax = loaded.operator("linear"), loaded.operator("softmax")
    case = DEFAULT.with_options({"feature_map": "elu1", "normalize": True, "cache": False})
    assert linear.complete(case) == DEFAULT.with_options({})
    assert softmax.complete(case) == DEFAULT.with_options({})


def test_cost_of_long_linear_attention_is_linear_in_t(loaded):
    operator = loaded.operator("linear")
    flops = [operator.cost(Case(1, T, 8, 64, 64)).flops for T in (4096, 8192)]
    assert flops[1] == 2 * flops[0] == 2 * 4 * 4096 * 8 * 64 * 64
    assert loaded.operator("softmax").cost(Case(1, 8192, 8, 64, 64)).flops == 8 * 8192**2 * 128
