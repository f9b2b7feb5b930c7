"""Other inputs at the same addresses, and what a call draws at random."""

from dataclasses import replace

import pytest
import torch

from linbench import Case
from linbench.core.implementation import Implementation
from linbench.core.registry import registry
from linbench.measure.accuracy import complaint, errors
from linbench.measure.budget import budgets
from linbench.measure.call import Call, LaidInputs
from linbench.measure.hygiene import copied

registry.load()
MODES = ("fwd", "fwd_bwd", "prefill", "decode")
SHAPES = [Case(2, 33, 3, 16, 16), Case(2, 33, 1, 16, 16), Case(1, 33, 1, 16, 16)]


def taken():
    for implementation in registry.implementations():
        operator = registry.operator(implementation.operator)
        for shape in SHAPES:
            for mode in MODES:
                for options in ({}, {"initial_state": True}):
                    case = operator.complete(replace(shape, mode=mode, options=options))
                    if options and not case.options:
                        continue
                    if (
                        implementation.why_not(operator, case) is None
                        and implementation.name != "gated_delta/undamped"  # wrong on purpose
                    ):
                        yield pytest.param(implementation, case, id=f"{implementation.name} {case}")


def bits(laid, implementation):
    given = laid.of(implementation)
    parts = [*given.tensors.values(), *(given.state or ())]
    return [part.clone().nan_to_num_(7) for part in (*parts, *filter(torch.is_tensor, [given.upstream]))]


@pytest.mark.parametrize(("implementation", "case"), list(taken()))
def test_the_honest_are_right_for_other_inputs_and_get_theirs_back(implementation, case):
    operator = registry.operator(implementation.operator)
    laid = LaidInputs(operator, case)
    expected = operator.expected(case, laid.canonical)
    call = Call(operator, implementation, case, laid)
    before = bits(laid, implementation)
    axis = call.mirror_axis
    assert axis == ("H" if case.H > 1 else "B" if case.B > 1 else None)
    if axis is not None:
        call.prepare()
        with call.mirrored(axis):
            assert not all(map(torch.equal, bits(laid, implementation), before))
            returned = copied(call())
        results = call.results(returned, axis)
        unmirrored = complaint(errors(call.results(returned), expected, budgets(operator, case)))
        assert unmirrored is not None
    else:
        with call.reseeded() as (other, inputs):
            call.prepare()
            results = call.results(copied(call()))
            expected = operator.expected(other, inputs)
    assert complaint(errors(results, expected, budgets(operator, case))) is None
    assert all(map(torch.equal, bits(laid, implementation), before))
    assert laid.changed(implementation) is None


def test_a_call_draws_the_same_numbers_whatever_was_drawn_before():
    operator = registry.operator("linear")
    case = Case(1, 4, 1, 2, 2)
    draws = Implementation("linear/draws", "linear", "BTHD", {"fwd": lambda *qkv: torch.rand_like(qkv[2])})
    call = Call(operator, draws, case, LaidInputs(operator, case))
    call.prepare()
    first = call()
    assert not torch.equal(call(), first)
    torch.manual_seed(99)
    call.prepare()
    assert torch.equal(call(), first)


@pytest.mark.parametrize("name", ["q", "k", "v", "upstream gradient"])
def test_an_input_that_was_changed_is_named_and_made_again(name):
    operator, found = registry.operator("softmax"), registry.implementation("softmax/naive")
    laid = LaidInputs(operator, Case(1, 8, 2, 4, 4, mode="fwd_bwd"))
    given = laid.of(found)
    before = bits(laid, found)
    assert laid.changed(found) is None
    tensor = given.upstream if name == "upstream gradient" else given.tensors[name]
    tensor[0, 0, 0, 0] += 1
    assert laid.changed(found) == name
    laid.restore(found)
    assert laid.changed(found) is None
    assert all(map(torch.equal, bits(laid, found), before))
