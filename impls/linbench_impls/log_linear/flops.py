"""Operations of log-linear attention: of its forms, and the least."""

from __future__ import annotations

import math

from linbench import Case
from linbench_impls.log_linear.tree import CHUNK
from linbench_impls.toolkit import flops


def state_levels(case: Case) -> int:
    """Return how many buckets the token after next may have."""
    return (case.T + 1).bit_length()


def recurrent(case: Case) -> float:
    """Return the operations of T steps, of one in decode; every level is read and merged, empty or not.

    A new product and its readout; for each level its readout, the sum of what merges and where that goes.
    Backward has two products for each, but one for a merge, and the gradient of the gate.
    """
    levels = state_levels(case)
    products = 6 + 7 * levels if flops.differentiated(case) else 2 + 3 * levels
    return 2 * case.tokens * case.H * case.K * case.V * products


def chunked(case: Case) -> float:
    """Return the operations of the chunked form, which goes token by token where a state is given.

    Chunk n reads as many states as n has bits; the last state is a product of its own, without gradient.
    """
    if case.mode == "decode":
        return recurrent(case)
    chunks = -(-case.T // CHUNK)
    read = sum(number.bit_count() for number in range(chunks)) / chunks
    made, _ = flops.state_passes(case, CHUNK)
    states = 2 * case.K * case.V * (made + read * flops.passes(case))
    token = states + 2 * CHUNK * (case.K + case.V) * flops.passes(case)
    products = flops.chunk_tokens(case, CHUNK) * case.H * token
    return products + flops.last_state(case, case.K, case.V)


def least(case: Case) -> float:
    """Return the work of the cheapest tree, of chunks of any size: one token, and all of T, among them.

    In a chunk the pairs of its tokens; a product a token for the states, and on average half of the levels
    above a chunk to read. In decode the buckets that are not empty after T tokens are known.
    """
    state, pair = 2 * case.K * case.V, case.K + case.V
    if case.mode == "decode":
        return case.tokens * case.H * (state * (1 + case.T.bit_count()) + 2 * pair)
    sizes = (1 << power for power in range(case.T.bit_length()) if 1 << power < case.T)
    trees = [(size + 1) * pair + state * (1 + math.log2(case.T / size) / 2) for size in sizes]
    return case.tokens * case.H * min(*trees, (case.T + 1) * pair, math.inf) * flops.passes(case)
