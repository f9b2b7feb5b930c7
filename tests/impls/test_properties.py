"""Properties that every operator's forms must have, at random shapes, in float64."""

import math
import random
from dataclasses import replace

import pytest
import torch

from linbench import Case
from linbench.core.registry import registry
from linbench.measure.call import Call, InputsInLayout
from linbench.measure.memory import measure_memory
from linbench_impls.families.dplr.operator import DPLR
from linbench_impls.log_linear import tree
from linbench_impls.mlstm import forms as mlstm
from linbench_impls.toolkit import normalizer, scan, transition, varlen

registry.load()
OPERATORS = [
    operator for operator in registry.operators() if type(operator).__module__.startswith("linbench_impls")
]
FORMS = [
    form
    for form in registry.implementations()
    if form.operator in {operator.name for operator in OPERATORS}
    and form.name.partition("/")[2] in ("naive", "chunk", "recurrent")
]
STATEFUL = [form for form in FORMS if "prefill" in form.modes and form.accepts("prefill", "state")]
TOLERANCE = 1e-12


def random_case(name, salt=0, **fields):
    """Return a random case of an operator, seeded by the name: K is not V, T no multiple of a chunk."""
    dice = random.Random(f"{name} {salt}")
    keys = dice.choice([3, 5, 8])
    tokens = dice.choice([19, 37, 67, 83, 131])
    shape = (dice.choice([1, 2]), tokens, dice.choice([1, 2, 3]), keys, dice.choice([2, 4, 7]))
    return registry.operator(name.partition("/")[0]).complete(
        Case(*shape, "float64", seed=dice.randrange(100), **fields)
    )


def inputs(case, name):
    operator = registry.operator(name)
    tensors = operator.generate(case, torch.Generator().manual_seed(case.seed)).tensors
    return [tensors[spec.name].double() for spec in operator.inputs]


def assert_close(result, expected, tolerance=TOLERANCE):
    assert result.shape == expected.shape
    gap, size = torch.linalg.norm(result - expected), torch.linalg.norm(expected)
    assert gap <= tolerance * size, f"off by {float(gap / size):.2g}"


def options_of_operators():
    for operator in OPERATORS:
        for name, option in operator.options.items():
            for value in option.allowed if not isinstance(option.default, int | str) else option.allowed[:3]:
                options = {name: value} | ({"causal": False} if name == "padding" else {})
                case = operator.complete(
                    Case(1 if name == "varlen" else 2, 8, 2, 4, 4, "float64", options=options)
                )
                if case.options and operator.unsupported_reason(case) is None:
                    yield operator.name, options
        if operator.unsupported_reason(Case(1, 8, 2, 4, 4)) is None:
            yield operator.name, {}
    yield "softmax", {"causal": False, "varlen": 3}


@pytest.mark.parametrize(("name", "options"), list(options_of_operators()))
def test_both_forms_of_a_reference_and_their_gradients_agree(name, options):
    operator = registry.operator(name)
    case = replace(random_case(name, options=options), B=1 if "varlen" in options else 2, H=2)
    generated = operator.generate(case, torch.Generator().manual_seed(case.seed))
    tensors = {key: value.double() for key, value in generated.tensors.items()}
    leaves = [tensors[spec.name].requires_grad_() for spec in operator.inputs if spec.differentiable]
    state = None
    if generated.state is not None:
        state = tuple(part.double().requires_grad_() for part in generated.state)
    leaves += state or ()
    results = []
    for form in (operator.reference, operator.recurrence):
        o, final = form(tensors, state, operator.option_values(case))
        upstream = torch.randn(o.shape, generator=torch.Generator().manual_seed(1), dtype=o.dtype)
        gradients = torch.autograd.grad(o, leaves, upstream, allow_unused=True, materialize_grads=True)
        results.append([o, *final, *gradients])
    for chunked, recurrent in zip(*results, strict=True):
        assert_close(chunked, recurrent)


GATE_OF = {name: "g" for name in ("simple_gla", "gla", "gated_delta", "kda", "rwkv7", "log_linear")}
GATE_OF |= {"mlstm": "f", "retention": "log_gamma", "lightning": "log_gamma", "mamba": "dt"}


@pytest.mark.parametrize("decay", [-30.0, -40.0, -50.0, -math.inf])
@pytest.mark.parametrize("name", GATE_OF)
def test_gradients_of_the_reference_are_exact_at_steps_that_forget_the_state(name, decay):
    if name == "mamba" and decay == -math.inf:
        pytest.skip("dt u is infinite for an infinite dt")
    operator, low = registry.operator(name), (slice(None), [3, 4, 40, 63, 64, 90])
    case = Case(2, 131, 2, 5, 4, "float64")
    generated = operator.generate(case, torch.Generator().manual_seed(case.seed)).tensors
    tensors = {key: value.double() for key, value in generated.items()}
    gate = tensors[GATE_OF[name]]
    if name in ("retention", "lightning"):
        gate[-1] = decay
    else:
        gate[low] = -decay if name == "mamba" else decay
    leaves = {x.name: tensors[x.name].requires_grad_() for x in operator.inputs if x.differentiable}
    results = []
    for form in (operator.reference, operator.recurrence):
        o, final = form(tensors, None, operator.option_values(case))
        upstream = torch.randn(o.shape, generator=torch.Generator().manual_seed(1), dtype=o.dtype)
        gradients = torch.autograd.grad(o, list(leaves.values()), upstream)
        results.append({"o": o, **dict(zip(leaves, gradients, strict=True)), **dict(enumerate(final))})
    reference, recurrence = results
    for key, value in recurrence.items():
        assert_close(reference[key], value)
    if GATE_OF[name] in leaves and name != "mamba":
        torch.testing.assert_close(
            reference[GATE_OF[name]][low], recurrence[GATE_OF[name]][low], rtol=1e-9, atol=0
        )


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_later_tokens_do_not_change_earlier_outputs(form):
    case = random_case(form.name)
    tensors = inputs(case, form.operator)
    later = inputs(replace(case, seed=case.seed + 1), form.operator)
    middle = case.T // 2
    specs = registry.operator(form.operator).inputs
    mixed = [
        torch.cat([x[:, :middle], y[:, middle:]], 1) if "T" in spec.axes else x
        for spec, x, y in zip(specs, tensors, later, strict=True)
    ]
    original, changed = form(*tensors), form(*mixed)
    assert_close(original[:, :middle], changed[:, :middle])
    assert not torch.allclose(original[:, middle:], changed[:, middle:])


@pytest.mark.parametrize("form", STATEFUL, ids=lambda form: form.name)
def test_two_parts_connected_by_the_state_equal_the_full_sequence(form):
    operator = registry.operator(form.operator)
    case = random_case(form.name, salt=1)
    tensors = inputs(case, form.operator)
    middle = random.Random(form.name).randrange(1, case.T)

    def part(tokens):
        return [
            x[:, tokens] if "T" in spec.axes else x for spec, x in zip(operator.inputs, tensors, strict=True)
        ]

    full, full_state = form(*tensors, mode="prefill")
    first, state = form(*part(slice(None, middle)), mode="prefill")
    second, final_state = form(*part(slice(middle, None)), mode="prefill", state=state)
    assert_close(torch.cat([first, second], 1), full, 1e-11)
    for result, expected in zip(final_state, full_state, strict=True):
        assert_close(result, expected.double(), 1e-11)


VARLEN = [
    form
    for form in registry.implementations()
    if form.accepts("fwd", "varlen")
    and "varlen" in registry.operator(form.operator).options
    and not form.name.endswith("/flex")  # compiles for seconds per shape; see test_libraries.py
    and form.unsupported_reason(registry.operator(form.operator), Case(1, 83, 2, 8, 8, options={"varlen": 3}))
    is None
]


@pytest.mark.parametrize("form", VARLEN, ids=lambda form: form.name)
def test_varlen_sequences_equal_separate_sequences(form):
    case = Case(1, 83, 2, 8, 8)
    specs = registry.operator(form.operator).inputs
    tensors = registry.operator(form.operator).generate(case, torch.Generator().manual_seed(0)).tensors
    sizes = varlen.lengths(case.T, 3)
    assert len(set(sizes)) == 3
    assert sum(sizes) == case.T
    sequences = zip(
        *(
            tensors[spec.name].split(sizes, 1) if "T" in spec.axes else [tensors[spec.name]] * 3
            for spec in specs
        ),
        strict=True,
    )
    row = form(*tensors.values(), varlen=3)
    assert_close(row, torch.cat([form(*sequence) for sequence in sequences], 1), 1e-6)
    assert not torch.allclose(row, form(*tensors.values()), rtol=1e-2)


def chunk_forms():
    """Yield names and functions from a chunk size to output and state."""

    def of_parametrization(operator):
        def run(size):
            q, k, v, g, ab = operator.parametrization.arguments(*heads_first(operator.name))
            if ab is None:
                return transition.diagonal(q, k, v, g, None, size)
            return transition.low_rank(q, k, v, g, *ab, None, size)

        return run

    def heads_first(name):
        operator = registry.operator(name)
        pairs = zip(operator.inputs, inputs(random_case(name, salt=2), name), strict=True)
        return [x.transpose(1, 2) if spec.axes.startswith("BTH") else x for spec, x in pairs]

    for operator in OPERATORS:
        if isinstance(operator, DPLR):
            yield operator.name, of_parametrization(operator)

    def features(size):
        q, k, v = heads_first("performer")[:3]
        o, state = normalizer.chunked(q.exp(), k.exp(), v, None, size)
        return (o, *state)

    def selective(size):
        return scan.selective(*heads_first("mamba")[:5], None, size)

    def matrix_memory(size):
        o, state = mlstm.chunked(*heads_first("mlstm"), state=None, size=size)
        return (o, *state)

    def levels(size):
        o, state = tree.chunked(*heads_first("log_linear"), state=None, size=size)
        return (o, *state)

    yield from (
        ("features", features),
        ("mamba", selective),
        ("mlstm", matrix_memory),
        ("log_linear", levels),
    )


@pytest.mark.parametrize(("name", "run"), list(chunk_forms()), ids=[name for name, _ in chunk_forms()])
def test_results_do_not_depend_on_the_chunk_size(name, run):
    sizes = (1, 4, 64, 128) if name == "log_linear" else (1, 3, 16, 64, 150)
    first, *rest = (run(size) for size in sizes)
    for results in rest:
        for result, expected in zip(results, first, strict=True):
            assert_close(result, expected)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_gradients_equal_those_of_the_token_by_token_reference(form):
    operator = registry.operator(form.operator)
    case = random_case(form.name, salt=3)
    tensors = inputs(case, form.operator)
    leaves = [
        x.requires_grad_() for spec, x in zip(operator.inputs, tensors, strict=True) if spec.differentiable
    ]
    tensors_by_name = {spec.name: x for spec, x in zip(operator.inputs, tensors, strict=True)}
    expected, _ = operator.recurrence(tensors_by_name, None, operator.option_values(case))
    o = form(*tensors)
    assert_close(o, expected)
    upstream = torch.randn(o.shape, generator=torch.Generator().manual_seed(2), dtype=o.dtype)
    pairs = zip(
        torch.autograd.grad(o, leaves, upstream),
        torch.autograd.grad(expected, leaves, upstream),
        strict=True,
    )
    for gradient, expected_gradient in pairs:
        assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_doubled_values_double_the_output_of_linear_forms(form):
    operator = registry.operator(form.operator)
    tensors = inputs(random_case(form.name, salt=4), form.operator)
    names = [spec.name for spec in operator.inputs]
    values = names.index("u" if "u" in names else "v")
    doubled = [2 * x if index == values else x for index, x in enumerate(tensors)]
    o = form(*tensors)
    assert_close(
        form(*doubled),
        o if form.operator == "transnormer" else 2 * o,
        1e-6 if "transnormer" in form.name else TOLERANCE,
    )


def peak_bytes(form, tokens, mode):
    """Return the peak memory of one call of a form, without its inputs."""
    operator = registry.operator(form.operator)
    case = operator.complete(Case(1, tokens, 1, 8, 8, mode=mode))
    return measure_memory(Call(operator, form, case, InputsInLayout(operator, case)))[0].extra_bytes


LINEAR = [form for form in FORMS if not form.name.endswith("/naive") and form.operator != "nsa"]


@pytest.mark.parametrize("form", LINEAR, ids=lambda form: form.name)
def test_memory_of_forward_is_linear_in_t(form):
    tokens = 64 if form.name.endswith("/recurrent") else 256  # a step is slow
    short, long = (peak_bytes(form, count, "fwd") for count in (tokens, 4 * tokens))
    assert 2 * short <= long <= 4.1 * short


@pytest.mark.parametrize(
    "form", [form for form in LINEAR if form.name.endswith("/chunk")], ids=lambda form: form.name
)
def test_memory_with_gradients_is_linear_in_t(form):
    short, long = (peak_bytes(form, count, "fwd_bwd") for count in (256, 512))
    assert long <= 2.1 * short  # log_linear's states grow as T log T
