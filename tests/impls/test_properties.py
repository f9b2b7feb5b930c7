"""What every operator's forms must do at shapes drawn at random, whatever the mathematics; in float64."""

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
OURS = [found for found in registry.operators() if type(found).__module__.startswith("linbench_impls")]
FORMS = [
    found
    for found in registry.implementations()
    if found.operator in {operator.name for operator in OURS}
    and found.name.partition("/")[2] in ("naive", "chunk", "recurrent")
]
CARRIED = [found for found in FORMS if "prefill" in found.modes and found.accepts("prefill", "state")]
TOLERANCE = 1e-12


def drawn(name, salt=0, **given):
    """Return a case of an operator: K other than V, T no multiple of any chunk, all drawn from the name."""
    dice = random.Random(f"{name} {salt}")
    keys = dice.choice([3, 5, 8])
    tokens = dice.choice([19, 37, 67, 83, 131])
    shape = (dice.choice([1, 2]), tokens, dice.choice([1, 2, 3]), keys, dice.choice([2, 4, 7]))
    return registry.operator(name.partition("/")[0]).complete(
        Case(*shape, "float64", seed=dice.randrange(100), **given)
    )


def inputs(case, name):
    operator = registry.operator(name)
    given = operator.generate(case, torch.Generator().manual_seed(case.seed))
    return [given.tensors[spec.name].double() for spec in operator.inputs]


def near(one, other, tolerance=TOLERANCE):
    assert one.shape == other.shape
    gap, size = torch.linalg.norm(one - other), torch.linalg.norm(other)
    assert gap <= tolerance * size, f"off by {float(gap / size):.2g}"


def over_options():
    for operator in OURS:
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


@pytest.mark.parametrize(("name", "options"), list(over_options()))
def test_both_forms_of_a_reference_agree_and_so_do_their_gradients(name, options):
    operator = registry.operator(name)
    case = replace(drawn(name, options=options), B=1 if "varlen" in options else 2, H=2)
    given = operator.generate(case, torch.Generator().manual_seed(case.seed))
    tensors = {key: value.double() for key, value in given.tensors.items()}
    leaves = [tensors[spec.name].requires_grad_() for spec in operator.inputs if spec.differentiable]
    state = None if given.state is None else tuple(part.double().requires_grad_() for part in given.state)
    leaves += state or ()
    results = []
    for form in (operator.reference, operator.recurrence):
        o, final = form(tensors, state, operator.option_values(case))
        upstream = torch.randn(o.shape, generator=torch.Generator().manual_seed(1), dtype=o.dtype)
        gradients = torch.autograd.grad(o, leaves, upstream, allow_unused=True, materialize_grads=True)
        results.append([o, *final, *gradients])
    for one, other in zip(*results, strict=True):
        near(one, other)


@pytest.mark.parametrize("found", FORMS, ids=lambda found: found.name)
def test_what_comes_later_changes_nothing_that_came_before(found):
    case = drawn(found.name)
    tensors = inputs(case, found.operator)
    others = inputs(replace(case, seed=case.seed + 1), found.operator)
    cut = case.T // 2
    specs = registry.operator(found.operator).inputs
    mixed = [
        torch.cat([one[:, :cut], other[:, cut:]], 1) if "T" in spec.axes else one
        for spec, one, other in zip(specs, tensors, others, strict=True)
    ]
    one, other = found(*tensors), found(*mixed)
    near(one[:, :cut], other[:, :cut])
    assert not torch.allclose(one[:, cut:], other[:, cut:])


@pytest.mark.parametrize("found", CARRIED, ids=lambda found: found.name)
def test_two_halves_with_the_state_handed_over_are_the_whole(found):
    operator = registry.operator(found.operator)
    case = drawn(found.name, salt=1)
    tensors = inputs(case, found.operator)
    cut = random.Random(found.name).randrange(1, case.T)

    def part(some):
        return [
            x[:, some] if "T" in spec.axes else x for spec, x in zip(operator.inputs, tensors, strict=True)
        ]

    whole, final = found(*tensors, mode="prefill")
    first, state = found(*part(slice(None, cut)), mode="prefill")
    second, end = found(*part(slice(cut, None)), mode="prefill", state=state)
    near(torch.cat([first, second], 1), whole, 1e-11)
    for one, other in zip(end, final, strict=True):
        near(one, other.double(), 1e-11)


VARLEN = [
    found
    for found in registry.implementations()
    if found.accepts("fwd", "varlen")
    and "varlen" in registry.operator(found.operator).options
    and not found.name.endswith("/flex")  # compiles for seconds a shape: test_libraries.py
    and found.unsupported_reason(
        registry.operator(found.operator), Case(1, 83, 2, 8, 8, options={"varlen": 3})
    )
    is None
]


@pytest.mark.parametrize("found", VARLEN, ids=lambda found: found.name)
def test_varlen_sequences_are_what_each_is_by_itself(found):
    case = Case(1, 83, 2, 8, 8)
    specs = registry.operator(found.operator).inputs
    given = registry.operator(found.operator).generate(case, torch.Generator().manual_seed(0)).tensors
    sizes = varlen.lengths(case.T, 3)
    assert len(set(sizes)) == 3
    assert sum(sizes) == case.T
    parts = zip(
        *(given[spec.name].split(sizes, 1) if "T" in spec.axes else [given[spec.name]] * 3 for spec in specs),
        strict=True,
    )
    whole = found(*given.values(), varlen=3)
    near(whole, torch.cat([found(*some) for some in parts], 1), 1e-6)
    assert not torch.allclose(whole, found(*given.values()), rtol=1e-2)


def chunk_forms():
    """Yield a name and, for any chunk size, a function of it that gives output and state."""

    def of_parametrization(operator):
        def run(size):
            q, k, v, g, ab = operator.parametrization.arguments(*by_heads(operator.name))
            some = (q, k, v, g) if ab is None else (q, k, v, g, *ab)
            return (transition.diagonal if ab is None else transition.low_rank)(*some, None, size)

        return run

    def by_heads(name):
        operator = registry.operator(name)
        given = inputs(drawn(name, salt=2), name)
        pairs = zip(operator.inputs, given, strict=True)
        return [x.transpose(1, 2) if spec.axes.startswith("BTH") else x for spec, x in pairs]

    for operator in OURS:
        if isinstance(operator, DPLR):
            yield operator.name, of_parametrization(operator)

    def features(size):
        q, k, v = by_heads("performer")[:3]
        o, state = normalizer.chunked(q.exp(), k.exp(), v, None, size)
        return (o, *state)

    def selective(size):
        return scan.selective(*by_heads("mamba")[:5], None, size)

    def matrix_memory(size):
        o, state = mlstm.chunked(*by_heads("mlstm"), state=None, size=size)
        return (o, *state)

    def levels(size):
        o, state = tree.chunked(*by_heads("log_linear"), state=None, size=size)
        return (o, *state)

    yield from (
        ("features", features),
        ("mamba", selective),
        ("mlstm", matrix_memory),
        ("log_linear", levels),
    )


@pytest.mark.parametrize(("name", "run"), list(chunk_forms()), ids=[name for name, _ in chunk_forms()])
def test_no_result_depends_on_the_size_of_a_chunk(name, run):
    sizes = (1, 4, 64, 128) if name == "log_linear" else (1, 3, 16, 64, 150)
    first, *others = (run(size) for size in sizes)
    for other in others:
        for one, two in zip(first, other, strict=True):
            near(one, two)


@pytest.mark.parametrize("found", FORMS, ids=lambda found: found.name)
def test_gradients_are_those_of_the_token_by_token_reference(found):
    operator = registry.operator(found.operator)
    case = drawn(found.name, salt=3)
    tensors = inputs(case, found.operator)
    leaves = [
        x.requires_grad_() for spec, x in zip(operator.inputs, tensors, strict=True) if spec.differentiable
    ]
    named = {spec.name: x for spec, x in zip(operator.inputs, tensors, strict=True)}
    due, _ = operator.recurrence(named, None, operator.option_values(case))
    o = found(*tensors)
    near(o, due)
    upstream = torch.randn(o.shape, generator=torch.Generator().manual_seed(2), dtype=o.dtype)
    pairs = zip(
        torch.autograd.grad(o, leaves, upstream), torch.autograd.grad(due, leaves, upstream), strict=True
    )
    for one, other in pairs:
        near(one, other)


@pytest.mark.parametrize("found", FORMS, ids=lambda found: found.name)
def test_twice_the_values_give_twice_the_output_where_it_is_linear_in_them(found):
    operator = registry.operator(found.operator)
    tensors = inputs(drawn(found.name, salt=4), found.operator)
    names = [spec.name for spec in operator.inputs]
    values = names.index("u" if "u" in names else "v")
    doubled = [2 * x if at == values else x for at, x in enumerate(tensors)]
    o = found(*tensors)
    near(
        found(*doubled),
        o if found.operator == "transnormer" else 2 * o,
        1e-6 if "transnormer" in found.name else TOLERANCE,
    )


def held(found, tokens, mode):
    """Return the most bytes that one call of a form holds above its inputs."""
    operator = registry.operator(found.operator)
    case = operator.complete(Case(1, tokens, 1, 8, 8, mode=mode))
    return measure_memory(Call(operator, found, case, InputsInLayout(operator, case)))[0].extra_bytes


LINEAR = [found for found in FORMS if not found.name.endswith("/naive") and found.operator != "nsa"]


@pytest.mark.parametrize("found", LINEAR, ids=lambda found: found.name)
def test_four_times_the_tokens_take_no_more_than_four_times_the_memory(found):
    tokens = 64 if found.name.endswith("/recurrent") else 256  # a step is slow
    short, long = (held(found, count, "fwd") for count in (tokens, 4 * tokens))
    assert 2 * short <= long <= 4.1 * short


@pytest.mark.parametrize(
    "found", [found for found in LINEAR if found.name.endswith("/chunk")], ids=lambda found: found.name
)
def test_twice_the_tokens_take_no_more_than_twice_the_memory_with_gradients(found):
    short, long = (held(found, count, "fwd_bwd") for count in (256, 512))
    assert long <= 2.1 * short  # log_linear's states grow as T log T
