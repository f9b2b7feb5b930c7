"""log_linear/chunk: weighted products inside a chunk, a Fenwick tree of states between chunks."""

from __future__ import annotations

import math

from linbench import Case
from linbench_impls.log_linear import flops
from linbench_impls.log_linear.forms import CHUNK, chunked
from linbench_impls.toolkit.register import exact, register


def outer_levels(case: Case) -> float:
    """Return how many states a chunk meets on average."""
    return math.log2(max(1, case.T / CHUNK) + 1) / 2


def extra_bytes(case: Case) -> float:
    """Return the bytes of weights and scores, and of the states at chunk ends, all levels in fwd_bwd."""
    levels = 2 * outer_levels(case) if case.mode == "fwd_bwd" else 1
    states = (2 + levels) * case.K * case.V / CHUNK
    width = max(4, case.item_bytes)
    rows = 6 * (case.K + case.V) + 8 * CHUNK
    return width * case.tokens * case.H * (states + rows) * (1.5 if case.mode == "fwd_bwd" else 1)


register("log_linear", "chunk", exact(chunked, layout="BHTD", flops=flops.chunked, extra_bytes=extra_bytes))
