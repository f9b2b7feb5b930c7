"""Calls on changed inputs at the same addresses, random numbers of a call, and rotated calls."""

from dataclasses import replace

import pytest
import torch
from sample import sample_cases

from linbench import Case
from linbench.core.implementation import Implementation
from linbench.core.registry import registry
from linbench.measure.accuracy import complaint, errors
from linbench.measure.call import Call, InputsInLayout
from linbench.measure.hygiene import copy_result
from linbench.measure.tolerance import tolerances

registry.load()
MODES = ("fwd", "fwd_bwd", "prefill", "decode")
SHAPES = [Case(2, 33, 3, 16, 16), Case(2, 33, 1, 16, 16), Case(1, 33, 1, 16, 16)]


def supported_cases():
    product = {}
    for implementation in registry.implementations():
        operator = registry.operator(implementation.operator)
        for shape in SHAPES:
            for mode in MODES:
                for options in ({}, {"initial_state": True}, {"causal": False, "padding": 0.25}):
                    case = operator.complete(replace(shape, mode=mode, options=options))
                    if options and not case.options:
                        continue
                    if (
                        implementation.unsupported_reason(operator, case) is None
                        and implementation.name != "acme_delta/undamped"  # wrong on purpose
                        and not implementation.name.endswith("/flex")  # compiles for seconds per shape
                    ):
                        product[f"{implementation.name} {case}"] = implementation, case
    return sample_cases(product)


def input_values(in_layout, implementation):
    inputs = in_layout.of(implementation)
    parts = [*inputs.tensors.values(), *(inputs.state or ())]
    return [part.clone().nan_to_num_(7) for part in (*parts, *filter(torch.is_tensor, [inputs.upstream]))]


@pytest.mark.parametrize(("implementation", "case"), supported_cases())
def test_correct_implementations_pass_on_changed_inputs_which_are_then_restored(implementation, case):
    operator = registry.operator(implementation.operator)
    in_layout = InputsInLayout(operator, case)
    expected = operator.expected(case, in_layout.canonical)
    call = Call(operator, implementation, case, in_layout)
    before = input_values(in_layout, implementation)
    axis = call.mirror_axis
    sequences_are_alike = "padding" not in case.options
    assert axis == ("H" if case.H > 1 else "B" if case.B > 1 and sequences_are_alike else None)
    if axis is not None:
        call.prepare()
        with call.mirrored_inputs(axis):
            assert not all(map(torch.equal, input_values(in_layout, implementation), before))
            returned = copy_result(call())
        results = call.results(returned, axis)
        unmirrored = complaint(
            errors(call.results(returned), expected, tolerances(operator, case), operator.result_axes)
        )
        assert unmirrored is not None
    else:
        with call.reseeded_inputs() as (reseeded_case, inputs):
            call.prepare()
            results = call.results(copy_result(call()))
            expected = operator.expected(reseeded_case, inputs)
    assert complaint(errors(results, expected, tolerances(operator, case), operator.result_axes)) is None
    assert all(map(torch.equal, input_values(in_layout, implementation), before))
    assert in_layout.changed(implementation) is None


def test_a_prepared_call_draws_the_same_random_numbers_every_time():
    operator = registry.operator("linear")
    case = Case(1, 4, 1, 2, 2)
    draws = Implementation("linear/draws", "linear", "BTHD", {"fwd": lambda *qkv: torch.rand_like(qkv[2])})
    call = Call(operator, draws, case, InputsInLayout(operator, case))
    call.prepare()
    first = call()
    assert not torch.equal(call(), first)
    torch.manual_seed(99)
    call.prepare()
    assert torch.equal(call(), first)


@pytest.mark.parametrize("name", ["q", "k", "v", "upstream gradient"])
def test_a_changed_input_is_named_and_restored(name):
    operator, implementation = registry.operator("softmax"), registry.implementation("softmax/naive")
    in_layout = InputsInLayout(operator, Case(1, 8, 2, 4, 4, mode="fwd_bwd"))
    inputs = in_layout.of(implementation)
    before = input_values(in_layout, implementation)
    assert in_layout.changed(implementation) is None
    tensor = inputs.upstream if name == "upstream gradient" else inputs.tensors[name]
    tensor[0, 0, 0, 0] += 1
    assert in_layout.changed(implementation) == name
    in_layout.restore(implementation)
    assert in_layout.changed(implementation) is None
    assert all(map(torch.equal, input_values(in_layout, implementation), before))


def in_place(q, k, v, state):
    """Update S and z in place, with the default feature map of linear, elu(x) + 1."""
    q, k = (torch.nn.functional.elu(x[:, 0]) + 1 for x in (q, k))  # [B, H, K]
    S, z = state
    S += k[..., None] * v[:, 0, :, None]
    z += k
    norm = (q * z).sum(-1, keepdim=True) + 1e-6
    return (q[..., None, :] @ S).transpose(1, 2) / norm[:, None], state


IN_PLACE = Implementation("linear/in-place", "linear", "BTHD", {"decode": in_place})


def of_linear(mode):
    operator = registry.operator("linear")
    implementation = IN_PLACE if mode == "decode" else registry.implementation("linear/recurrent")
    case = operator.complete(Case(2, 8, 2, 4, 4, mode=mode))
    in_layout = InputsInLayout(operator, case)
    expected = operator.expected(case, in_layout.canonical)

    def complaint_of(returned):
        return complaint(
            errors(call.results(returned), expected, tolerances(operator, case), operator.result_axes)
        )

    call = Call(operator, implementation, case, in_layout)
    return call, complaint_of


@pytest.mark.parametrize("mode", MODES)
def test_rotated_calls_give_the_same_results_on_memory_of_their_own(mode):
    call, complaint_of = of_linear(mode)
    copies = call.rotated(3)
    addresses = [{tensor.data_ptr() for tensor in copy.tensors} for copy in (call, *copies)]
    assert len(set.union(*addresses)) == sum(map(len, addresses))
    for tensor in call.tensors:
        tensor.detach().fill_(torch.nan)
    for copy in copies:
        copy.prepare()
        assert complaint_of(copy()) is None
        assert copy.input_bytes == call.input_bytes


def test_each_rotated_call_updates_and_restores_its_own_state():
    call, complaint_of = of_linear("decode")
    first, second = call.rotated(2)
    assert first.advances
    before = [state.clone() for state in second._state]
    first.prepare()
    assert complaint_of(first()) is None
    assert not torch.equal(first._state[0], before[0])
    assert all(map(torch.equal, second._state, before))
    assert "is off by" in complaint_of(first())
    first.prepare()
    assert complaint_of(first()) is None


def test_input_bytes_are_those_of_all_inputs_of_a_call():
    tensor_bytes = 2 * 8 * 2 * 4 * 4  # B T H K, float32
    state_bytes = 2 * 2 * (4 * 4 + 4) * 4  # S and z
    assert of_linear("fwd")[0].input_bytes == 3 * tensor_bytes
    assert of_linear("fwd_bwd")[0].input_bytes == 4 * tensor_bytes
    assert of_linear("decode")[0].input_bytes == 3 * tensor_bytes // 8 + state_bytes
    assert not any(of_linear(mode)[0].advances for mode in ("fwd", "fwd_bwd", "prefill"))


@pytest.mark.parametrize("mode", MODES)
def test_a_spoiled_result_is_detected_and_the_next_is_correct(mode):
    call, complaint_of = of_linear(mode)
    call.prepare()
    returned = call()
    call.spoil(returned)
    assert "NaN" in complaint_of(returned)
    assert not any(tensor.isnan().any() for tensor in call.tensors)
    call.prepare()
    assert complaint_of(call()) is None
