"""What implementations say that they do, against what is counted while they do it."""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from linbench.core.case import MODES, Case
from linbench.measure.call import Call, LaidInputs

TOLERANCE = 0.02
OURS = ("linear", "retention", "lightning", "simple_gla", "softmax")
OUT_OF_REACH = {
    "native": "a C++ kernel, which torch does not see into",
    "flash": "torch counts the masked half that this kernel leaves out",
    "flex": "compiled: torch does not see into it",
    "acme": "a stranger's, which declares nothing",
}


class Counted(TorchDispatchMode):
    """Counts products of matrices by torch's own formulas, and rank-one updates as what they are.

    A multiplication of two tensors neither of which has the size of the result is an outer product: each
    element is multiplied here and added after.
    """

    flops = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        del types
        returned = function(*args, **(kwargs or {}))
        packet = function._overloadpacket
        if packet in flop_registry:
            self.flops += flop_registry[packet](*args, **(kwargs or {}), out_val=returned)
        elif packet is torch.ops.aten.mul and all(_is_part(x, returned) for x in args):
            self.flops += 2 * returned.numel()
        return returned


def _is_part(x, returned):
    return isinstance(x, torch.Tensor) and 1 < x.numel() < returned.numel()


def counted(call):
    call.prepare()
    with Counted() as counter:
        call()
    return counter.flops


def reachable(loaded):
    for found in loaded.implementations():
        if "linbench_impls" not in found.origin:  # another test's plugin
            continue
        if found.operator not in OURS or found.name.partition("/")[2] in OUT_OF_REACH:
            continue
        operator = loaded.operator(found.operator)
        for mode in MODES:
            case = Case(2, 256, 2, 64, 64, mode=mode)
            if mode == "fwd_bwd" and found.name.endswith("/recurrent"):
                continue  # the gradient of an outer product is a multiplication and a sum, not told apart
            if found.why_not(operator, case) is None:
                yield Call(operator, found, case, LaidInputs(operator, case))


def test_every_form_in_torch_does_the_work_that_it_declares(loaded):
    seen = set()
    for call in reachable(loaded):
        seen.add((call.implementation.name, call.case.mode))
        declared = call.implementation.algorithmic_flops(call.operator, call.case)
        assert counted(call) == pytest.approx(declared, rel=TOLERANCE), seen
    names = {name for name, _ in seen}
    assert names >= {
        f"{operator}/{form}" for operator in OURS[:4] for form in ("naive", "chunk", "recurrent")
    }
    assert names >= {"softmax/naive", "softmax/math"}
    assert len(seen) >= 40


def test_a_wrong_declaration_is_seen(loaded):
    operator, case = loaded.operator("linear"), Case(2, 256, 2, 64, 64)
    made = loaded.implementation("linear/naive")
    wrong = replace(made, flops=lambda case: 1.05 * made.flops(case))
    count = counted(Call(operator, wrong, case, LaidInputs(operator, case)))
    assert count != pytest.approx(wrong.algorithmic_flops(operator, case), rel=TOLERANCE)


def test_no_form_does_less_than_the_least(loaded):
    for call in reachable(loaded):
        least = call.operator.cost(call.case).flops
        assert call.implementation.algorithmic_flops(call.operator, call.case) >= least * (1 - TOLERANCE)


def test_the_fewest_bytes_are_those_of_the_tensors_that_come_and_go(loaded):
    for name in ("linear/chunk", "retention/chunk", "softmax/math"):
        implementation = loaded.implementation(name)
        operator = loaded.operator(implementation.operator)
        for mode in MODES:
            case = Case(2, 64, 2, 32, 16, mode=mode)
            if name == "softmax/math" and mode in ("prefill", "decode"):
                continue  # a cache with room to spare: what is not there yet is neither read nor written
            call = Call(operator, implementation, case, LaidInputs(operator, case))
            call.prepare()
            given = sum(tensor.nbytes for tensor in call.held)
            returned = sum(tensor.nbytes for tensor in call.results(call()).values())
            assert operator.cost(case).bytes == given + returned, (name, mode)
