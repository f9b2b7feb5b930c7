"""What operators and implementations say that they do, against what is counted while they do it."""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop, sdpa_flop

from linbench.core.case import MODES, Case
from linbench.measure.call import Call, InputsInLayout

TOLERANCE = 0.02
K, V = 40, 72  # unlike a chunk, a block, a window and each other, so that a state is known by its shape
BATCH = 2  # so that what has no batch, as the A of S6, is smaller than a state
TOKENS, STEPS = 256, 96  # four chunks; steps of what goes token by token
OUT_OF_REACH = {
    "native": "C++, which torch does not see into",
    "triton": "a kernel for CUDA, which torch does not see into",
    "cuda": "a kernel for CUDA, which torch does not see into",
    "efficient": "a kernel of torch for CUDA",
    "cudnn": "a kernel of torch for CUDA",
    "varlen": "a kernel of torch for CUDA",
    "flash": "a kernel of torch that leaves out the masked half; counted below where nothing is masked",
    "flex": "compiled by torch, which then does not see into it",
}
LIBRARIES = (  # they declare nothing
    *("fla-", "flash-attn-", "lightning-attn", "fast-transformers", "mamba-", "natten"),
)
VARIED = {
    "initial_state": True,
    "normalize": False,
    "features": 32,
    "window": 32,
    "block": 32,
    "group": 2,
    "causal": False,
}
CACHES = ("k_cache", "v_cache")
aten = torch.ops.aten
FORMULAS = flop_registry | {
    aten._scaled_dot_product_flash_attention_for_cpu: sdpa_flop,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: sdpa_backward_flop,
}


class Counted(TorchDispatchMode):
    """Counts products, a multiplication and an addition for each pair of numbers that meet.

    Those of matrices by torch's own formulas; a triangular system; and of multiplications number by number
    those whose result is larger than both factors (an update of rank one), whose result is summed (an inner
    product), or of two tensors of the size of a state, [..., K, V].
    """

    def __init__(self, state):
        super().__init__()
        self.flops = 0
        self.state = state
        self.multiplied = {}  # by id; kept alive, so that ids stay theirs

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        del types
        returned = function(*args, **(kwargs or {}))
        packet = function._overloadpacket
        if packet in FORMULAS:
            self.flops += FORMULAS[packet](*args, **(kwargs or {}), out_val=returned)
        elif packet is aten.linalg_solve_triangular:
            self.flops += args[0].shape[-1] * returned.numel()
        elif packet is aten.sum and id(args[0]) in self.multiplied:
            self.flops += 2 * args[0].numel()
        elif packet is aten.mul and all(isinstance(x, torch.Tensor) for x in args):
            if all(1 < x.numel() < returned.numel() for x in args) or all(map(self.is_state, args)):
                self.flops += 2 * returned.numel()
            else:
                self.multiplied[id(returned)] = returned
        return returned

    def is_state(self, x):
        return x.shape[-2:] == self.state


def counted(call):
    call.prepare()
    with Counted((call.case.K, call.case.V)) as counter:
        call()
    return counter.flops


def ours(loaded):
    return [found for found in loaded.implementations() if "linbench_impls" in found.origin]


def in_torch(loaded):
    """Yield our implementations that a count reaches, with their operators."""
    for found in ours(loaded):
        name = found.name.partition("/")[2]
        if name not in OUT_OF_REACH and not name.startswith(LIBRARIES):
            yield loaded.operator(found.operator), found


def cases_of(operator, found, options=({},)):
    """Yield a case for each mode and set of options that an implementation has."""
    for mode in MODES:
        for chosen in options:
            tokens = STEPS if "recurrent" in found.name else TOKENS
            case = Case(BATCH, tokens, 2, K, V, mode=mode, options=chosen)
            if found.unsupported_reason(operator, case) is None:
                yield case


def call_of(operator, found, case):
    return Call(operator, found, case, InputsInLayout(operator, case))


def declared_and_counted(operator, found, case):
    assert found.flops is not None, found.name
    return found.flops(case), counted(call_of(operator, found, case))


def test_every_form_in_torch_does_the_work_that_it_declares_in_every_mode_it_has(loaded):
    off = {}
    for operator, found in in_torch(loaded):
        cases = list(cases_of(operator, found))
        assert [case.mode for case in cases] == list(found.modes)
        for case in cases:
            declared, count = declared_and_counted(operator, found, case)
            if declared != pytest.approx(count, rel=TOLERANCE):
                off[found.name, case.mode] = declared / count
    assert not off


def test_options_that_change_the_work_change_what_is_declared(loaded):
    off = {}
    for operator, found in in_torch(loaded):
        varied = [{name: value} for name, value in VARIED.items() if name in operator.options]
        for case in cases_of(operator, found, varied):
            if case.mode == "decode":
                continue
            declared, count = declared_and_counted(operator, found, case)
            if declared != pytest.approx(count, rel=TOLERANCE):
                off[found.name, case.mode, str(case.options)] = declared / count
    assert not off


def test_what_is_short_of_a_chunk_is_declared_as_the_whole_chunk_that_is_computed(loaded):
    off = {}
    for operator, found in in_torch(loaded):
        if found.name.endswith("/recurrent"):
            continue
        for tokens, options in ((16, {}), (40, {"initial_state": True}), (65, {})):
            case = Case(BATCH, tokens, 1, K, V, mode="fwd_bwd", options=options)
            if options.keys() - operator.options or found.unsupported_reason(operator, case):
                continue
            declared, count = declared_and_counted(operator, found, case)
            if declared != pytest.approx(count, rel=TOLERANCE):
                off[found.name, tokens] = declared / count
    assert not off


def test_a_decode_that_computes_every_row_again_declares_it(loaded):
    operator, found = loaded.operator("softmax"), loaded.implementation("softmax/naive")
    case = Case(2, 64, 2, K, V, mode="decode", options={"cache": False})
    declared, count = declared_and_counted(operator, found, case)
    assert declared == pytest.approx(count, rel=TOLERANCE)


@pytest.mark.parametrize("mode", ["fwd", "fwd_bwd"])
def test_a_fused_kernel_of_torch_takes_scores_again_in_backward(loaded, mode):
    operator, found = loaded.operator("softmax"), loaded.implementation("softmax/flash")
    seen = Case(2, 256, 2, 64, 64, mode=mode, options={"causal": False})
    declared, count = declared_and_counted(operator, found, seen)
    assert declared == pytest.approx(count, rel=TOLERANCE)
    assert found.flops(replace(seen, options={})) == declared / 2


def test_every_implementation_is_counted_or_out_of_reach(loaded):
    reached = {found.name for _, found in in_torch(loaded)}
    rest = {found.name.partition("/")[2] for found in ours(loaded) if found.name not in reached}
    assert {name for name in rest if not name.startswith(LIBRARIES)} == set(OUT_OF_REACH)
    operators = {found.operator for found in ours(loaded)}
    assert {name.partition("/")[0] for name in reached} == operators


def test_a_wrong_declaration_is_seen(loaded):
    operator, case = loaded.operator("linear"), Case(2, 256, 2, 64, 64)
    made = loaded.implementation("linear/naive")
    wrong = replace(made, flops=lambda case: 1.05 * made.flops(case))
    declared, count = declared_and_counted(operator, wrong, case)
    assert declared != pytest.approx(count, rel=TOLERANCE)


def test_no_form_does_less_than_the_least(loaded):
    less = {}
    for found in ours(loaded):
        operator = loaded.operator(found.operator)
        for mode in MODES:
            for tokens in (1, 16, 65, 512, 4096):
                for sizes in ((64, 64), (16, 128), (128, 16)):
                    case = Case(2, tokens, 2, *sizes, mode=mode)
                    if found.flops is None or found.unsupported_reason(operator, case) is not None:
                        continue
                    least = operator.cost(case).flops
                    if found.flops(case) < least * (1 - TOLERANCE):
                        less[found.name, str(case)] = found.flops(case) / least
    assert not less


def moved(call):
    """Return the bytes of the tensors that come and go.

    A cache has a free slot, NaN until decode writes it: it is not read, prefill leaves it, and decode writes
    no other.
    """
    call.prepare()
    come = sum(int((~x.isnan()).sum()) * x.itemsize for x in call.tensors)
    written = slice(-1, None) if call.case.mode == "decode" else slice(0, -1)
    returned = call.results(call())
    return come + sum((x[:, written] if name in CACHES else x).nbytes for name, x in returned.items())


def test_the_fewest_bytes_are_those_of_the_tensors_that_come_and_go(loaded):
    off, seen = {}, set()
    for operator, found in in_torch(loaded):
        for mode in MODES:
            for options in ({}, {"initial_state": True}, {"group": 2}, {"cache": False}):
                case = Case(2, 40, 2, 32, 16, "bfloat16", mode=mode, options=options)
                key = (operator.name, mode, str(options))
                if (
                    key in seen
                    or options.keys() - operator.options
                    or found.unsupported_reason(operator, case)
                ):
                    continue
                seen.add(key)
                due = moved(call_of(operator, found, case))
                if operator.cost(case).bytes != due:
                    off[key] = operator.cost(case).bytes / due
    assert not off
    assert len(seen) >= 4 * len({operator.name for operator, _ in in_torch(loaded)})
