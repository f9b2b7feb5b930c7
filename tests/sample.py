"""A sample of a product of cases: `make test` runs the sample, `make test-all` the whole product."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations

import pytest

from linbench import Case
from linbench.core.implementation import Implementation

Value = tuple[str, object]


def sample_cases(product: Mapping[str, tuple[Implementation, Case]]) -> list:
    """Return a pytest parameter per name, with its implementation and case; those outside are marked `whole`.

    The sample is the same in every run. It covers each mode, shape and option value of every implementation,
    and every existing pair of these with at least one implementation; which pairs are covered differs between
    implementations.
    """
    by_implementation: dict[str, dict[str, frozenset[Value]]] = {}
    for name, (implementation, case) in product.items():
        by_implementation.setdefault(implementation.name, {})[name] = values(case)
    sample: set[str] = set()
    pair_counts: Counter[frozenset[Value]] = Counter()
    for candidates in by_implementation.values():
        missing_values = set().union(*candidates.values())
        missing_pairs = set().union(*map(pairs, candidates.values())) - pair_counts.keys()
        while missing_values or missing_pairs:
            name = max(
                candidates,
                key=lambda name: score(candidates[name], missing_values, missing_pairs, pair_counts),
            )
            sample.add(name)
            missing_values -= candidates[name]
            missing_pairs.difference_update(pairs(candidates[name]))
            pair_counts.update(pairs(candidates[name]))
    return [
        pytest.param(*product[name], id=name, marks=() if name in sample else pytest.mark.whole)
        for name in product
    ]


def score(
    case_values: frozenset[Value],
    missing_values: Iterable[Value],
    missing_pairs: set[frozenset[Value]],
    pair_counts: Mapping[frozenset[Value], int],
) -> tuple[int, int]:
    """Return how many missing values and pairs a case covers, then how rare its pairs are in the sample."""
    case_pairs = pairs(case_values)
    coverage = len(case_values.intersection(missing_values)) + len(missing_pairs.intersection(case_pairs))
    return coverage, -sum(pair_counts.get(pair, 0) for pair in case_pairs)


def values(case: Case) -> frozenset[Value]:
    """Return the mode, the shape and each option of a case."""
    shape = (case.B, case.T, case.H, case.K, case.V, case.dtype)
    return frozenset({("mode", case.mode), ("shape", shape), *case.options.items()})


def pairs(case_values: frozenset[Value]) -> list[frozenset[Value]]:
    return [frozenset(pair) for pair in combinations(sorted(case_values, key=repr), 2)]
