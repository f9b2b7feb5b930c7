"""The sample of a product of cases: it is small and deterministic, and covers all values and pairs."""

from dataclasses import replace

from sample import pairs, sample_cases, values

from linbench import Case
from linbench.core.case import MODES
from linbench.core.implementation import Implementation

OPTIONS = ({}, {"group": 3}, {"causal": False}, {"causal": False, "padding": 0.25}, {"varlen": 3})
SHAPES = (Case(2, 65, 3, 16, 24), Case(2, 1, 8, 16, 16), Case(1, 66, 2, 32, 32, "bfloat16"))
NAMES = [f"linear/{letter}" for letter in "abcdefgh"]


def product_of(names):
    return {
        f"{name} {case}": (Implementation(name, "linear", "BTHD", {}), case)
        for name in names
        for shape in SHAPES
        for options in OPTIONS
        for mode in MODES
        if (case := replace(shape, mode=mode, options=options))
    }


def sample_of(product):
    return [parameter.values for parameter in sample_cases(product) if not parameter.marks]


def test_the_sample_covers_every_value_per_implementation_and_every_pair_overall():
    product = product_of(NAMES)
    sample = sample_of(product)
    for name in NAMES:
        covered = set().union(
            *(values(case) for implementation, case in sample if implementation.name == name)
        )
        assert covered == set().union(*(values(case) for _, case in product.values()))
    all_pairs = {pair for _, case in product.values() for pair in pairs(values(case))}
    assert {pair for _, case in sample for pair in pairs(values(case))} == all_pairs


def test_the_sample_is_small_and_deterministic_and_no_case_is_lost():
    product = product_of(NAMES)
    assert sample_of(product) == sample_of(product)
    assert len(sample_of(product)) < len(product) / 4
    parameters = sample_cases(product)
    assert [parameter.id for parameter in parameters] == list(product)
    assert {mark.name for parameter in parameters for mark in parameter.marks} == {"whole"}


def test_one_more_implementation_adds_few_cases():
    assert len(sample_of(product_of(NAMES))) - len(sample_of(product_of(NAMES[:-1]))) <= 8


def test_different_implementations_cover_different_pairs():
    pairs_by_name = {name: set() for name in NAMES}
    for implementation, case in sample_of(product_of(NAMES)):
        pairs_by_name[implementation.name].update(pairs(values(case)))
    assert len(set(map(frozenset, pairs_by_name.values()))) > len(NAMES) / 2
