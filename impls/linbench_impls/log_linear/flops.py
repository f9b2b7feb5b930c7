"""Operations of log-linear attention: those of its forms, and the least."""

from __future__ import annotations

import math

from linbench import Case
from linbench_impls.log_linear.tree import CHUNK
from linbench_impls.toolkit import flops


def state_levels(case: Case) -> int:
    """Return how many buckets there may be before token T + 1."""
    return (case.T + 1).bit_length()


def recurrent(case: Case) -> float:
    """Return the operations of T steps, or of one in decode; all levels are read and merged, empty or not.

    Each step has a new product and its readout, and per level a readout, the sum of merged states and its
    assignment. Backward has two products for each, but one for a merge, and the gradient of the gate.
    """
    levels = state_levels(case)
    products = 6 + 7 * levels if flops.has_backward(case) else 2 + 3 * levels
    return 2 * case.tokens * case.H * case.K * case.V * products


def chunked(case: Case) -> float:
    """Return the operations of the chunked form, which computes token by token if there is an initial state.

    Chunk n reads one state per bit set in n; the last state is a separate product, without gradient.
    """
    if case.mode == "decode":
        return recurrent(case)
    chunks = -(-case.T // CHUNK)
    reads = sum(number.bit_count() for number in range(chunks)) / chunks
    writes, _ = flops.state_passes(case, CHUNK)
    states = 2 * case.K * case.V * (writes + reads * flops.passes(case))
    token = states + 2 * CHUNK * (case.K + case.V) * flops.passes(case)
    products = flops.chunk_tokens(case, CHUNK) * case.H * token
    return products + flops.last_state(case, case.K, case.V)


def least(case: Case) -> float:
    """Return the operations of the cheapest tree over all chunk sizes, from one token to T.

    A chunk computes the pairs of its tokens, one product per token for the states, and on average reads half
    of the levels above it. In decode only the buckets that are not empty after T tokens count.
    """
    state, pair = 2 * case.K * case.V, case.K + case.V
    if case.mode == "decode":
        return case.tokens * case.H * (state * (1 + case.T.bit_count()) + 2 * pair)
    sizes = (1 << power for power in range(case.T.bit_length()) if 1 << power < case.T)
    trees = [(size + 1) * pair + state * (1 + math.log2(case.T / size) / 2) for size in sizes]
    return case.tokens * case.H * min(*trees, (case.T + 1) * pair, math.inf) * flops.passes(case)
