"""The declared work of operators and implementations against the work counted while they run."""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop, sdpa_flop

from linbench.core.case import MODES, Case
from linbench.measure.call import Call, InputsInLayout

TOLERANCE = 0.02
K, V = (
    40,
    72,
)  # differ from chunk, block and window sizes and from each other: they identify a state by its shape
BATCH = 2  # so that tensors without a batch, such as the A of S6, are smaller than a state
TOKENS, STEPS = 256, 96  # four chunks; steps of the recurrent forms
NOT_COUNTED = {
    "native": "C++, which torch cannot trace",
    "triton": "a CUDA kernel, which torch cannot trace",
    "cuda": "a CUDA kernel, which torch cannot trace",
    "efficient": "a CUDA kernel of torch",
    "cudnn": "a CUDA kernel of torch",
    "varlen": "a CUDA kernel of torch",
    "flash": "a kernel of torch that skips the masked half; counted below without a mask",
    "flex": "compiled by torch, which then cannot trace it",
}
LIBRARIES = (  # they declare no work
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


class FlopCounter(TorchDispatchMode):
    """Counts products: one multiplication and one addition for each pair of factors.

    Matrix products by torch's own formulas; triangular systems; and those elementwise multiplications whose
    result is larger than both factors (a rank-one update), whose result is summed (an inner product), or
    whose factors both have the shape of a state, [..., K, V].
    """

    def __init__(self, state):
        super().__init__()
        self.flops = 0
        self.state = state
        self.products = {}  # by id; references keep the ids unique

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        del types
        returned = function(*args, **(kwargs or {}))
        packet = function._overloadpacket
        if packet in FORMULAS:
            self.flops += FORMULAS[packet](*args, **(kwargs or {}), out_val=returned)
        elif packet is aten.linalg_solve_triangular:
            self.flops += args[0].shape[-1] * returned.numel()
        elif packet is aten.sum and id(args[0]) in self.products:
            self.flops += 2 * args[0].numel()
        elif packet is aten.mul and all(isinstance(x, torch.Tensor) for x in args):
            if all(1 < x.numel() < returned.numel() for x in args) or all(map(self.is_state, args)):
                self.flops += 2 * returned.numel()
            else:
                self.products[id(returned)] = returned
        return returned

    def is_state(self, x):
        return x.shape[-2:] == self.state


def count_flops(call):
    call.prepare()
    with FlopCounter((call.case.K, call.case.V)) as counter:
        call()
    return counter.flops


def builtin(loaded):
    return [
        implementation
        for implementation in loaded.implementations()
        if "linbench_impls" in implementation.origin
    ]


def countable(loaded):
    """Yield the operators and implementations in torch whose work can be counted."""
    for implementation in builtin(loaded):
        name = implementation.name.partition("/")[2]
        if name not in NOT_COUNTED and not name.startswith(LIBRARIES):
            yield loaded.operator(implementation.operator), implementation


def cases_of(operator, implementation, options=({},)):
    """Yield one case per mode and set of options that an implementation supports."""
    for mode in MODES:
        for values in options:
            tokens = STEPS if "recurrent" in implementation.name else TOKENS
            case = Case(BATCH, tokens, 2, K, V, mode=mode, options=values)
            if implementation.unsupported_reason(operator, case) is None:
                yield case


def call_of(operator, implementation, case):
    return Call(operator, implementation, case, InputsInLayout(operator, case))


def declared_and_counted(operator, implementation, case):
    assert implementation.flops is not None, implementation.name
    return implementation.flops(case), count_flops(call_of(operator, implementation, case))


def test_every_form_in_torch_does_its_declared_work_in_every_mode(loaded):
    off = {}
    for operator, implementation in countable(loaded):
        cases = list(cases_of(operator, implementation))
        assert [case.mode for case in cases] == list(implementation.modes)
        for case in cases:
            declared, count = declared_and_counted(operator, implementation, case)
            if declared != pytest.approx(count, rel=TOLERANCE):
                off[implementation.name, case.mode] = declared / count
    assert not off


def test_options_that_change_the_work_change_the_declaration(loaded):
    off = {}
    for operator, implementation in countable(loaded):
        options = [{name: value} for name, value in VARIED.items() if name in operator.options]
        for case in cases_of(operator, implementation, options):
            if case.mode == "decode":
                continue
            declared, count = declared_and_counted(operator, implementation, case)
            if declared != pytest.approx(count, rel=TOLERANCE):
                off[implementation.name, case.mode, str(case.options)] = declared / count
    assert not off


def test_a_partial_chunk_is_declared_as_the_full_chunk_that_is_computed(loaded):
    off = {}
    for operator, implementation in countable(loaded):
        if implementation.name.endswith("/recurrent"):
            continue
        for tokens, options in ((16, {}), (40, {"initial_state": True}), (65, {})):
            case = Case(BATCH, tokens, 1, K, V, mode="fwd_bwd", options=options)
            if options.keys() - operator.options or implementation.unsupported_reason(operator, case):
                continue
            declared, count = declared_and_counted(operator, implementation, case)
            if declared != pytest.approx(count, rel=TOLERANCE):
                off[implementation.name, tokens] = declared / count
    assert not off


def test_a_decode_without_a_cache_declares_the_work_of_all_rows(loaded):
    operator, implementation = loaded.operator("softmax"), loaded.implementation("softmax/naive")
    case = Case(2, 64, 2, K, V, mode="decode", options={"cache": False})
    declared, count = declared_and_counted(operator, implementation, case)
    assert declared == pytest.approx(count, rel=TOLERANCE)


@pytest.mark.parametrize("mode", ["fwd", "fwd_bwd"])
def test_a_fused_kernel_of_torch_recomputes_scores_in_backward(loaded, mode):
    operator, implementation = loaded.operator("softmax"), loaded.implementation("softmax/flash")
    case = Case(2, 256, 2, 64, 64, mode=mode, options={"causal": False})
    declared, count = declared_and_counted(operator, implementation, case)
    assert declared == pytest.approx(count, rel=TOLERANCE)
    assert implementation.flops(replace(case, options={})) == declared * 257 / 512


def test_every_implementation_is_counted_or_listed_as_not_countable(loaded):
    names = {implementation.name for _, implementation in countable(loaded)}
    rest = {
        implementation.name.partition("/")[2]
        for implementation in builtin(loaded)
        if implementation.name not in names
    }
    assert {name for name in rest if not name.startswith(LIBRARIES)} == set(NOT_COUNTED)
    operators = {implementation.operator for implementation in builtin(loaded)}
    assert {name.partition("/")[0] for name in names} == operators


def test_a_wrong_declaration_is_detected(loaded):
    operator, case = loaded.operator("linear"), Case(2, 256, 2, 64, 64)
    naive = loaded.implementation("linear/naive")
    wrong = replace(naive, flops=lambda case: 1.05 * naive.flops(case))
    declared, count = declared_and_counted(operator, wrong, case)
    assert declared != pytest.approx(count, rel=TOLERANCE)


def test_no_form_declares_less_than_the_useful_work(loaded):
    less = {}
    for implementation in builtin(loaded):
        operator = loaded.operator(implementation.operator)
        for mode in MODES:
            for tokens in (1, 16, 65, 512, 4096):
                for sizes in ((64, 64), (16, 128), (128, 16)):
                    case = Case(2, tokens, 2, *sizes, mode=mode)
                    if (
                        implementation.flops is None
                        or implementation.unsupported_reason(operator, case) is not None
                    ):
                        continue
                    least = operator.cost(case).flops
                    if implementation.flops(case) < least * (1 - TOLERANCE):
                        less[implementation.name, str(case)] = implementation.flops(case) / least
    assert not less


VISIBLE_PAIRS = {
    "softmax": (lambda t, u: u <= t, {}),
    "sliding_window": (lambda t, u: t - 32 < u <= t, {"window": 32}),
    "diag_attention": (lambda t, u: t - t % 32 <= u <= t, {"block": 32}),
}


@pytest.mark.parametrize("tokens", [1, 2, 31, 32, 33, 100])
@pytest.mark.parametrize("name", VISIBLE_PAIRS)
def test_the_useful_work_is_that_of_the_visible_pairs(loaded, name, tokens):
    is_visible, options = VISIBLE_PAIRS[name]
    operator, case = loaded.operator(name), Case(2, tokens, 3, 16, 24, options=options)
    pairs = sum(is_visible(t, u) for t in range(tokens) for u in range(tokens))
    assert operator.cost(case).flops == 2 * 2 * 3 * pairs * (16 + 24)
    decode = sum(is_visible(tokens, u) for u in range(tokens + 1))
    assert operator.cost(replace(case, mode="decode")).flops == 2 * 2 * 3 * decode * (16 + 24)


def test_the_useful_work_of_short_linear_attention_is_that_of_the_visible_pairs(loaded):
    for tokens in (1, 2, 3):
        expected = 2 * tokens * (tokens + 1) / 2 * (16 + 24)
        assert loaded.operator("linear").cost(Case(1, tokens, 1, 16, 24)).flops == expected


def test_the_useful_work_of_padded_keys_is_that_of_the_visible_pairs(loaded):
    options = {"causal": False, "padding": 0.25}
    cost = loaded.operator("softmax").cost(Case(2, 32, 1, 16, 24, options=options))
    assert cost.flops == 2 * 32 * (32 + 24) * (16 + 24)


def moved_bytes(call):
    """Return the bytes of the tensors that a call reads and writes.

    A cache has a free slot, NaN until decode writes it: no call reads it, prefill leaves it free, and decode
    writes only this slot.
    """
    call.prepare()
    read_bytes = sum(int((~x.isnan()).sum()) * x.itemsize for x in call.tensors)
    written = slice(-1, None) if call.case.mode == "decode" else slice(0, -1)
    returned = call.results(call())
    return read_bytes + sum((x[:, written] if name in CACHES else x).nbytes for name, x in returned.items())


def test_the_fewest_bytes_are_those_of_the_inputs_and_outputs(loaded):
    off, keys = {}, set()
    for operator, implementation in countable(loaded):
        for mode in MODES:
            for options in ({}, {"initial_state": True}, {"group": 2}, {"cache": False}):
                case = Case(2, 40, 2, 32, 16, "bfloat16", mode=mode, options=options)
                key = (operator.name, mode, str(options))
                if (
                    key in keys
                    or options.keys() - operator.options
                    or implementation.unsupported_reason(operator, case)
                ):
                    continue
                keys.add(key)
                expected = moved_bytes(call_of(operator, implementation, case))
                if operator.cost(case).bytes != expected:
                    off[key] = operator.cost(case).bytes / expected
    assert not off
    assert len(keys) >= 4 * len({operator.name for operator, _ in countable(loaded)})
