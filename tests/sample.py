"""A sample of a product of cases: what `make test` runs of it; `make test-all` runs the rest too."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations

import pytest

from linbench import Case
from linbench.core.implementation import Implementation

Value = tuple[str, object]


def sampled(product: Mapping[str, tuple[Implementation, Case]]) -> list:
    """Return a parameter for each name, the implementation and its case; those left out are marked `whole`.

    The sample is the same in every run. In it every implementation meets each of its modes, shapes and values
    of options, and every pair of these that there is meets some implementation; which pairs an implementation
    meets differs from one to the next.
    """
    by_implementation: dict[str, dict[str, frozenset[Value]]] = {}
    for name, (implementation, case) in product.items():
        by_implementation.setdefault(implementation.name, {})[name] = values(case)
    kept: set[str] = set()
    met: Counter[frozenset[Value]] = Counter()
    for candidates in by_implementation.values():
        wanted = set().union(*candidates.values())
        new = set().union(*map(pairs, candidates.values())) - met.keys()
        while wanted or new:
            name = max(candidates, key=lambda name: score(candidates[name], wanted, new, met))
            kept.add(name)
            wanted -= candidates[name]
            new.difference_update(pairs(candidates[name]))
            met.update(pairs(candidates[name]))
    return [
        pytest.param(*product[name], id=name, marks=() if name in kept else pytest.mark.whole)
        for name in product
    ]


def score(
    found: frozenset[Value],
    wanted: Iterable[Value],
    new: set[frozenset[Value]],
    met: Mapping[frozenset[Value], int],
) -> tuple[int, int]:
    """Return how much that is wanted a case has, then how seldom its pairs were met."""
    own = pairs(found)
    unmet = len(found.intersection(wanted)) + len(new.intersection(own))
    return unmet, -sum(met.get(pair, 0) for pair in own)


def values(case: Case) -> frozenset[Value]:
    """Return the mode, the shape and each option of a case."""
    shape = (case.B, case.T, case.H, case.K, case.V, case.dtype)
    return frozenset({("mode", case.mode), ("shape", shape), *case.options.items()})


def pairs(found: frozenset[Value]) -> list[frozenset[Value]]:
    return [frozenset(pair) for pair in combinations(sorted(found, key=repr), 2)]
