"""The sample of a product of cases: small, the same each time, and nothing of the product is unmet in it."""

from dataclasses import replace

from sample import pairs, sampled, values

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


def kept(product):
    return [one.values for one in sampled(product) if not one.marks]


def test_every_value_meets_every_implementation_and_every_pair_some():
    product = product_of(NAMES)
    found = kept(product)
    for name in NAMES:
        met = set().union(*(values(case) for implementation, case in found if implementation.name == name))
        assert met == set().union(*(values(case) for _, case in product.values()))
    all_pairs = {pair for _, case in product.values() for pair in pairs(values(case))}
    assert {pair for _, case in found for pair in pairs(values(case))} == all_pairs


def test_it_is_small_the_same_each_time_and_nothing_is_lost():
    product = product_of(NAMES)
    assert kept(product) == kept(product)
    assert len(kept(product)) < len(product) / 4
    assert [one.id for one in sampled(product)] == list(product)
    assert {mark.name for one in sampled(product) for mark in one.marks} == {"whole"}


def test_one_more_implementation_adds_few_cases():
    assert len(kept(product_of(NAMES))) - len(kept(product_of(NAMES[:-1]))) <= 8


def test_implementations_meet_different_pairs():
    met = {name: set() for name in NAMES}
    for implementation, case in kept(product_of(NAMES)):
        met[implementation.name].update(pairs(values(case)))
    assert len(set(map(frozenset, met.values()))) > len(NAMES) / 2
