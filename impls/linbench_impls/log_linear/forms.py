"""log_linear/naive, log_linear/chunk and log_linear/recurrent, in torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.log_linear import flops
from linbench_impls.log_linear.flops import state_levels
from linbench_impls.log_linear.tree import CHUNK, State, chunked, parallel, recurrent
from linbench_impls.toolkit.dtype import accumulation_dtype
from linbench_impls.toolkit.flops import last_state
from linbench_impls.toolkit.flops import parallel as products
from linbench_impls.toolkit.register import Form, float32_form, register

if TYPE_CHECKING:
    from torch import Tensor


def quadratic_flops(case: Case) -> float:
    """Return the operations of the full products, including the masked half, and of the last state."""
    return products(case, case.K, case.V) + last_state(case, case.K, case.V)


def score_bytes(case: Case) -> float:
    """Return the bytes of scores, decays, levels and weights."""
    copies = 8 if case.mode == "fwd_bwd" else 5
    return copies * case.B * case.H * case.T**2 * max(4, case.item_bytes)


def outer_levels(case: Case) -> float:
    """Return the average number of states that a chunk reads."""
    return math.log2(max(1, case.T / CHUNK) + 1) / 2


def chunk_bytes(case: Case) -> float:
    """Return the bytes of weights and scores, and of the states at chunk ends; all levels in fwd_bwd."""
    levels = 2 * outer_levels(case) if case.mode == "fwd_bwd" else 1
    states = (2 + levels) * case.K * case.V / CHUNK
    width = max(4, case.item_bytes)
    rows = 6 * (case.K + case.V) + 8 * CHUNK
    return width * case.tokens * case.H * (states + rows) * (1.5 if case.mode == "fwd_bwd" else 1)


def step_bytes(case: Case) -> float:
    """Return the bytes of the states of all levels; those of every token in fwd_bwd."""
    states = 5 * case.tokens if case.mode == "fwd_bwd" else 5 * case.B
    return max(4, case.item_bytes) * states * case.H * case.K * case.V * state_levels(case)


def naive(q: Tensor, k: Tensor, v: Tensor, g: Tensor, lam: Tensor) -> Tensor:
    """Parallel form in torch: (Q K^T * decays * lambda per level) V; quadratic in T; in float32."""
    return prefill(q, k, v, g, lam)[0]


def prefill(q: Tensor, k: Tensor, v: Tensor, g: Tensor, lam: Tensor) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    accumulation = accumulation_dtype(q)
    o, state = parallel(*(x.to(accumulation) for x in (q, k, v, g, lam)))
    return o.to(v.dtype), state


register(
    "log_linear",
    "naive",
    Form(naive, prefill, layout="BHTD", flops=quadratic_flops, extra_bytes=score_bytes),
)
register(
    "log_linear",
    "chunk",
    float32_form(chunked, layout="BHTD", flops=flops.chunked, extra_bytes=chunk_bytes),
)
register(
    "log_linear",
    "recurrent",
    float32_form(recurrent, layout="BHTD", flops=flops.recurrent, extra_bytes=step_bytes),
)
