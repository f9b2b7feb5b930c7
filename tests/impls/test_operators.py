"""The reference: its two forms agree, and sampled expected values equal the full ones."""

from dataclasses import replace
from itertools import accumulate

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from linbench import Case
from linbench_impls.softmax import operator as softmax_operator
from linbench_impls.toolkit import varlen

DEFAULT = Case(2, 67, 3, 16, 24, "float64")


def float64_inputs(operator, case):
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
        ("softmax", {"causal": False}),
        ("softmax", {"group": 3}),
        ("softmax", {"causal": False, "padding": 0.25}),
        ("softmax", {"varlen": 3}),
        ("softmax", {"causal": False, "varlen": 8}),
        ("linear", {"varlen": 3}),
        ("retention", {"varlen": 3}),
        ("simple_gla", {"varlen": 8}),
        ("retention", {}),
        ("retention", {"initial_state": True}),
        ("lightning", {"initial_state": True}),
        ("simple_gla", {"initial_state": True}),
        ("simple_gla", {"gates": "near_one"}),
        ("simple_gla", {"gates": "near_zero"}),
    ],
)
def test_the_recurrent_and_the_parallel_form_agree(loaded, name, options):
    operator = loaded.operator(name)
    case = DEFAULT.with_options(options)
    tensors, state = float64_inputs(operator, case)
    state = None if state is None else tuple(part.double() for part in state)
    leaves = [tensors[spec.name].requires_grad_() for spec in operator.inputs if spec.differentiable]
    upstream = torch.randn(2, 67, 3, 24, dtype=torch.float64)
    results = []
    for form in (operator.reference, operator.recurrence):
        o, final = form(tensors, state, operator.option_values(case))
        results.append([o, *final, *torch.autograd.grad(o, leaves, upstream)])
    for chunked, recurrent in zip(*results, strict=True):
        assert torch.linalg.norm(chunked - recurrent) <= 1e-13 * torch.linalg.norm(recurrent)


@pytest.mark.parametrize("initial_state", [False, True])
@pytest.mark.parametrize("name", ["linear", "retention", "lightning", "simple_gla"])
def test_the_plain_form_equals_the_reference_in_float64(loaded, name, initial_state):
    operator = loaded.operator(name)
    case = operator.complete(DEFAULT.with_options({"initial_state": initial_state}))
    tensors, state = float64_inputs(operator, case)
    state = None if state is None else tuple(part.double() for part in state)
    (o, final), (expected_o, expected_final) = (
        form(tensors, state, operator.option_values(case)) for form in (operator.plain, operator.reference)
    )
    for result, expected in zip((o, *final), (expected_o, *expected_final), strict=True):
        assert torch.linalg.norm(result - expected) <= 1e-13 * torch.linalg.norm(expected)


@pytest.mark.parametrize("name", ["linear", "softmax", "simple_gla"])
def test_gradients_of_the_reference_match_finite_differences(loaded, name):
    operator = loaded.operator(name)
    case = Case(1, 5, 2, 3, 4, "float64")
    tensors, _ = float64_inputs(operator, case)
    names = list(tensors)

    def output(*leaves):
        return operator.reference(dict(zip(names, leaves, strict=True)), None, operator.option_values(case))[
            0
        ]

    assert torch.autograd.gradcheck(output, [tensor.requires_grad_() for tensor in tensors.values()])


@pytest.mark.parametrize(
    ("name", "results"),
    [
        ("linear", {"o", "dq", "dk", "dv"}),
        (
            "lightning",
            {"o", "dq", "dk", "dv"},
        ),  # its decay is an input with the axis H only, and has no gradient
        ("simple_gla", {"o", "dq", "dk", "dv", "dg"}),
    ],
)
def test_expected_values_by_slices_of_heads_equal_those_of_all_heads(loaded, monkeypatch, name, results):
    operator = loaded.operator(name)
    case = Case(2, 40, 5, 8, 8, mode="fwd_bwd")
    inputs = operator.generate(case, torch.Generator().manual_seed(0))
    full = operator.expected(case, inputs)
    monkeypatch.setattr(
        "linbench.core.operator.REFERENCE_SLICE_BYTES", operator.reference_head_bytes(case) * 2
    )
    sliced = operator.expected(case, inputs)
    assert full.keys() == sliced.keys() == results
    for name, result in full.items():
        torch.testing.assert_close(sliced[name].value, result.value, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("mode", ["fwd", "fwd_bwd", "prefill", "decode"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cache": False},
        {"causal": False},
        {"group": 3},
        {"causal": False, "group": 3, "padding": 0.25},
        {"varlen": 3},
        {"causal": False, "group": 3, "varlen": 8},
    ],
)
def test_sampled_expected_values_of_softmax_equal_the_full_ones(loaded, monkeypatch, mode, options):
    operator = loaded.operator("softmax")
    batch = 1 if "varlen" in options else 2
    case = operator.complete(Case(batch, 150, 3, 8, 12, mode=mode).with_options(options))
    reason = operator.unsupported_reason(case)
    if reason is not None:
        pytest.skip(reason)
    inputs = operator.generate(case, torch.Generator().manual_seed(0))
    full = operator.expected(case, inputs)
    monkeypatch.setattr(softmax_operator, "MAX_MATRIX_SCORES", 0)
    monkeypatch.setattr("linbench_impls.softmax.sampled.SLICE_BYTES", 2**15)
    in_blocks = operator.expected(case, inputs)
    monkeypatch.setattr(softmax_operator, "MAX_FULL_SCORES", 0)
    sampled = operator.expected(case, inputs)
    assert full.keys() == in_blocks.keys() == sampled.keys()
    for name, complete in full.items():
        block, sample = in_blocks[name], sampled[name]
        assert sample.value.numel() <= block.value.numel() == complete.value.numel()
        for part in (block, sample):
            torch.testing.assert_close(part.value, complete.value[part.index], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("tokens", [2048, 4096, 8192])
@pytest.mark.parametrize("mode", ["fwd", "fwd_bwd"])
def test_the_reference_of_softmax_needs_little_memory_at_long_t(loaded, monkeypatch, mode, tokens):
    monkeypatch.setattr(softmax_operator, "MAX_FULL_SCORES", 4 * 4096**2)  # 8192 is sampled, 4096 is not
    operator, case = loaded.operator("softmax"), Case(1, tokens, 2, 16, 16, mode=mode)
    inputs = operator.generate(case, torch.Generator().manual_seed(0))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        operator.expected(case, inputs)
    events = profiler.profiler.kineto_results.events()
    alive = accumulate(event.nbytes() for event in events if event.name() == "[memory]")
    peak = max(alive)
    assert 2**22 <= peak <= 2**27


def test_equal_seeds_give_equal_inputs_and_different_seeds_different_ones(loaded):
    operator = loaded.operator("linear")

    def q(seed):
        return operator.generate(DEFAULT, torch.Generator().manual_seed(seed)).tensors["q"]

    assert torch.equal(q(1), q(1))
    assert not torch.equal(q(1), q(2))


def test_default_and_foreign_options_are_removed_from_a_case(loaded):
    linear, softmax = loaded.operator("linear"), loaded.operator("softmax")
    case = DEFAULT.with_options({"feature_map": "elu1", "normalize": True, "cache": False})
    assert linear.complete(case) == DEFAULT.with_options({})
    assert softmax.complete(case) == DEFAULT.with_options({})


def test_cost_of_long_linear_attention_is_linear_in_t(loaded):
    operator = loaded.operator("linear")
    flops = [operator.cost(Case(1, T, 8, 64, 64)).flops for T in (4096, 8192)]
    assert flops[1] == 2 * flops[0] == 2 * 4 * 4096 * 8 * 64 * 64
    assert loaded.operator("softmax").cost(Case(1, 8192, 8, 64, 64)).flops == 8 * 8192 * 8193 * 128


def test_the_cost_of_varlen_sequences_is_the_sum_of_their_costs(loaded):
    case = Case(1, 96, 2, 64, 64, mode="fwd_bwd")
    sizes = varlen.lengths(96, 8)
    assert varlen.lengths(96, 8) == sizes
    assert varlen.lengths(97, 8) != sizes
    for name in ("softmax", "linear", "retention"):
        operator = loaded.operator(name)
        flops = operator.cost(case.with_options({"varlen": 8})).flops
        total = sum(operator.cost(replace(case, T=size)).flops for size in sizes)
        assert flops == pytest.approx(total)
        assert flops < operator.cost(case).flops


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"B": 2}, "varlen=3 requires B = 1, not 2"),
        ({"T": 5}, "varlen=3 requires T from 6, not 5"),
        ({"mode": "prefill"}, "have no prefill"),
        ({"mode": "decode"}, "have no decode"),
        ({"options": {"varlen": 3, "initial_state": True}}, "leave initial_state out"),
    ],
)
@pytest.mark.parametrize("name", ["softmax", "linear", "lightning"])
def test_the_unsupported_reason_of_varlen_cases(loaded, name, change, reason):
    case = replace(Case(1, 6, 2, 8, 8, options={"varlen": 3}), **change)
    assert reason in loaded.operator(name).unsupported_reason(case)
    assert (
        loaded.operator(name).unsupported_reason(replace(case, B=1, T=6, mode="fwd", options={"varlen": 3}))
        is None
    )


def test_constant_decays_equal_those_of_the_papers(loaded):
    case = Case(1, 2, 4, 8, 8, "bfloat16")

    def decays(name):
        inputs = loaded.operator(name).generate(case, torch.Generator().manual_seed(0))
        return inputs.tensors["log_gamma"].double().exp()

    torch.testing.assert_close(
        decays("retention"), torch.tensor([31 / 32, 63 / 64, 127 / 128, 255 / 256]).double()
    )
    torch.testing.assert_close(decays("lightning"), torch.tensor([0.0, -2, -4, -6]).double().exp())


def test_decays_are_float32_and_count_as_float32_bytes(loaded):
    retention, gated = loaded.operator("retention"), loaded.operator("simple_gla")
    case = Case(2, 32, 3, 8, 16, "bfloat16", "fwd_bwd")
    for operator, name in ((retention, "log_gamma"), (gated, "g")):
        tensors = operator.generate(case, torch.Generator().manual_seed(0)).tensors
        assert tensors[name].dtype == torch.float32
        assert tensors["q"].dtype == torch.bfloat16
    rows = 2 * 32 * 3
    assert retention.input_bytes(case) == 2 * rows * (8 + 8 + 16 + 16) + 4 * 3
    assert retention.output_bytes(case) == 2 * rows * (16 + 8 + 8 + 16)  # no gradient of log_gamma
    assert gated.input_bytes(case) == 2 * rows * (8 + 8 + 16 + 16) + 4 * rows
    assert gated.output_bytes(case) == 2 * rows * (16 + 8 + 8 + 16) + 4 * rows


def test_gates_keep_the_share_that_their_option_names(loaded):
    operator = loaded.operator("simple_gla")
    for kind, share in (("typical", 0.95), ("near_one", 0.9997), ("near_zero", 0.018)):
        case = operator.complete(DEFAULT.with_options({"gates": kind}))
        g = operator.generate(case, torch.Generator().manual_seed(0)).tensors["g"]
        assert g.max() <= 0
        assert g.median().exp().item() == pytest.approx(share, rel=0.2)


@pytest.mark.parametrize("name", ["retention", "lightning", "simple_gla"])
def test_a_random_state_has_the_spread_of_a_final_state(loaded, name):
    operator = loaded.operator(name)
    case = Case(4, 300, 4, 16, 16, mode="prefill")
    final = operator.expected(case, operator.generate(case, torch.Generator().manual_seed(0)))["S"].value
    (state,) = operator.draw_state(case, torch.Generator().manual_seed(1))
    torch.testing.assert_close(state.double().std((0, 2, 3)), final.std((0, 2, 3)), rtol=0.25, atol=0)


def test_more_random_features_approximate_softmax_better(loaded):
    performer, softmax = loaded.operator("performer"), loaded.operator("softmax")
    errors = []
    for count in (16, 64, 256):
        case = performer.complete(Case(4, 96, 4, 16, 16, options={"features": count}))
        tensors = performer.generate(case, torch.Generator().manual_seed(0)).tensors
        wide = {name: x.double() / 2 if name in "qk" else x.double() for name, x in tensors.items()}
        o, _ = performer.reference(wide, None, performer.option_values(case))
        expected, _ = softmax.reference(wide, None, softmax.option_values(softmax.complete(case)))
        errors.append(float(torch.linalg.norm(o - expected) / torch.linalg.norm(expected)))
    assert errors[0] > 1.5 * errors[1] > 1.5**2 * errors[2], errors  # 1 / sqrt(M) for light tails


def test_the_mean_over_projections_of_performer_is_the_softmax_kernel():
    from linbench_impls.performer.operator import phi, projection

    keys, count = 8, 10000
    generator = torch.Generator().manual_seed(1)
    q, k = torch.randn(2, 1, keys, generator=generator, dtype=torch.float64)
    weights = [projection((keys, keys), generator).double() for _ in range(count)]
    products = torch.stack([(phi(q, w) * phi(k, w)).sum() for w in weights])
    expected = (q * k).sum().mul(keys**-0.5).exp()
    assert abs(products.mean() - expected) < 4 * products.std() / count**0.5


@pytest.mark.parametrize("form", ["naive", "chunk", "recurrent"])
def test_the_norm_of_transnormer_does_not_overflow(loaded, form):
    case = Case(1, 67, 2, 16, 24, mode="fwd_bwd")
    operator = loaded.operator("transnormer")
    inputs = operator.generate(case, torch.Generator().manual_seed(0))
    inputs.tensors["v"].mul_(1e20)
    leaves = {name: x.requires_grad_() for name, x in inputs.tensors.items()}
    o = loaded.implementation(f"transnormer/{form}")(*leaves.values())
    gradients = torch.autograd.grad(o, list(leaves.values()), inputs.upstream)
    results = {"o": o} | {f"d{name}": x for name, x in zip(leaves, gradients, strict=True)}
    for name, expected in operator.expected(case, inputs).items():
        gap = torch.linalg.norm(results[name].double() - expected.value)
        assert gap <= 1e-5 * torch.linalg.norm(expected.value), name
