"""Other inputs at the same addresses, and what a call draws at random."""

from dataclasses import replace

import pytest
import torch
from sample import sample_cases

from linbench import Case
from linbench.core.implementation import Implementation
from linbench.core.registry import registry
from linbench.measure.accuracy import complaint, errors
from linbench.measure.call import Call, InputsInLayout
from linbench.measure.hygiene import copied
from linbench.measure.tolerance import tolerances

registry.load()
MODES = ("fwd", "fwd_bwd", "prefill", "decode")
SHAPES = [Case(2, 33, 3, 16, 16), Case(2, 33, 1, 16, 16), Case(1, 33, 1, 16, 16)]


def taken():
    found = {}
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
                        and not implementation.name.endswith("/flex")  # compiles for seconds a shape
                    ):
                        found[f"{implementation.name} {case}"] = implementation, case
    return sample_cases(found)


def bits(in_layout, implementation):
    given = in_layout.of(implementation)
    parts = [*given.tensors.values(), *(given.state or ())]
    return [part.clone().nan_to_num_(7) for part in (*parts, *filter(torch.is_tensor, [given.upstream]))]


@pytest.mark.parametrize(("implementation", "case"), taken())
def test_the_honest_are_right_for_other_inputs_and_get_theirs_back(implementation, case):
    operator = registry.operator(implementation.operator)
    in_layout = InputsInLayout(operator, case)
    expected = operator.expected(case, in_layout.canonical)
    call = Call(operator, implementation, case, in_layout)
    before = bits(in_layout, implementation)
    axis = call.mirror_axis
    alike = "padding" not in case.options
    assert axis == ("H" if case.H > 1 else "B" if case.B > 1 and alike else None)
    if axis is not None:
        call.prepare()
        with call.mirrored(axis):
            assert not all(map(torch.equal, bits(in_layout, implementation), before))
            returned = copied(call())
        results = call.results(returned, axis)
        unmirrored = complaint(errors(call.results(returned), expected, tolerances(operator, case)))
        assert unmirrored is not None
    else:
        with call.reseeded() as (other, inputs):
            call.prepare()
            results = call.results(copied(call()))
            expected = operator.expected(other, inputs)
    assert complaint(errors(results, expected, tolerances(operator, case))) is None
    assert all(map(torch.equal, bits(in_layout, implementation), before))
    assert in_layout.changed(implementation) is None


def test_a_call_draws_the_same_numbers_whatever_was_drawn_before():
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
def test_an_input_that_was_changed_is_named_and_made_again(name):
    operator, found = registry.operator("softmax"), registry.implementation("softmax/naive")
    in_layout = InputsInLayout(operator, Case(1, 8, 2, 4, 4, mode="fwd_bwd"))
    given = in_layout.of(found)
    before = bits(in_layout, found)
    assert in_layout.changed(found) is None
    tensor = given.upstream if name == "upstream gradient" else given.tensors[name]
    tensor[0, 0, 0, 0] += 1
    assert in_layout.changed(found) == name
    in_layout.restore(found)
    assert in_layout.changed(found) is None
    assert all(map(torch.equal, bits(in_layout, found), before))


def in_place(q, k, v, state):
    """Advance S and z where they stand; elu(x) + 1, as linear has it by default."""
    q, k = (torch.nn.functional.elu(x[:, 0]) + 1 for x in (q, k))  # [B, H, K]
    S, z = state
    S += k[..., None] * v[:, 0, :, None]
    z += k
    norm = (q * z).sum(-1, keepdim=True) + 1e-6
    return (q[..., None, :] @ S).transpose(1, 2) / norm[:, None], state


IN_PLACE = Implementation("linear/in-place", "linear", "BTHD", {"decode": in_place})


def of_linear(mode):
    operator = registry.operator("linear")
    found = IN_PLACE if mode == "decode" else registry.implementation("linear/recurrent")
    case = operator.complete(Case(2, 8, 2, 4, 4, mode=mode))
    in_layout = InputsInLayout(operator, case)
    expected = operator.expected(case, in_layout.canonical)

    def complaint_of(returned):
        return complaint(errors(call.results(returned), expected, tolerances(operator, case)))

    call = Call(operator, found, case, in_layout)
    return call, complaint_of


@pytest.mark.parametrize("mode", MODES)
def test_rotated_calls_give_the_same_from_memory_of_their_own(mode):
    call, complaint_of = of_linear(mode)
    rotated = call.rotated(3)
    addresses = [{tensor.data_ptr() for tensor in one.held} for one in (call, *rotated)]
    assert len(set.union(*addresses)) == sum(map(len, addresses))
    for tensor in call.held:
        tensor.detach().fill_(torch.nan)
    for one in rotated:
        one.prepare()
        assert complaint_of(one()) is None
        assert one.input_bytes == call.input_bytes


def test_each_rotated_call_advances_and_is_given_back_a_state_of_its_own():
    call, complaint_of = of_linear("decode")
    one, other = call.rotated(2)
    assert one.advances
    before = [state.clone() for state in other._state]
    one.prepare()
    assert complaint_of(one()) is None
    assert not torch.equal(one._state[0], before[0])
    assert all(map(torch.equal, other._state, before))
    assert "is off by" in complaint_of(one())
    one.prepare()
    assert complaint_of(one()) is None


def test_input_bytes_are_of_all_that_a_call_is_given():
    tensor_bytes = 2 * 8 * 2 * 4 * 4  # B T H K, float32
    state_bytes = 2 * 2 * (4 * 4 + 4) * 4  # S and z
    assert of_linear("fwd")[0].input_bytes == 3 * tensor_bytes
    assert of_linear("fwd_bwd")[0].input_bytes == 4 * tensor_bytes
    assert of_linear("decode")[0].input_bytes == 3 * tensor_bytes // 8 + state_bytes
    assert not any(of_linear(mode)[0].advances for mode in ("fwd", "fwd_bwd", "prefill"))


@pytest.mark.parametrize("mode", MODES)
def test_a_spoiled_result_is_seen_and_the_next_is_right(mode):
    call, complaint_of = of_linear(mode)
    call.prepare()
    returned = call()
    call.spoil(returned)
    assert "NaN" in complaint_of(returned)
    assert not any(tensor.isnan().any() for tensor in call.held)
    call.prepare()
    assert complaint_of(call()) is None
