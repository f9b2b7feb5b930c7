"""The forms of linear attention with decay in torch, and their costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.families.decay import recurrence
from linbench_impls.families.decay.recurrence import CHUNK, State, steps
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.register import Form
from linbench_impls.toolkit.varlen import map_sequences, sum_flops

if TYPE_CHECKING:
    from torch import Tensor


def score_bytes(case: Case) -> float:
    """Return the bytes of the T x T scores and weights, and of their saved copies, in the parallel form."""
    copies = 4 if case.mode == "fwd_bwd" else 2
    return copies * case.B * case.H * case.T**2 * (case.item_bytes + 4)


def quadratic_flops(case: Case) -> float:
    """Return the operations of the parallel form including the masked half, or of one step in decode."""
    if case.mode == "decode":
        return flops.recurrent(case, case.K, case.V)
    products = flops.parallel(case, case.K, case.V)
    return products + flops.last_state(case, case.K, case.V) if case.mode == "prefill" else products


def chunk_bytes(case: Case) -> float:
    """Return the bytes of the states at chunk ends and of scores and weights, in the chunked form."""
    per_token = 3 * 4 * case.K * case.V / CHUNK + 2 * CHUNK * (case.item_bytes + 4) + 8 * (case.K + case.V)
    return case.tokens * case.H * per_token * (1.5 if case.mode == "fwd_bwd" else 1)


@sum_flops
def chunk_flops(case: Case) -> float:
    """Return the operations of the chunked form including masked halves, or of one step in decode."""
    if case.mode == "decode":
        return flops.recurrent(case, case.K, case.V)
    return flops.chunked(case, case.K, case.V, CHUNK)


def step_bytes(case: Case) -> float:
    """Return the bytes of the states saved for backward in the recurrent form, three per token."""
    return 3 * 4 * case.tokens * case.H * case.K * case.V if case.mode == "fwd_bwd" else 0


def parallel(q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State | None = None) -> Tensor:
    """Parallel form in torch: (Q K^T * weights) V; quadratic in T."""
    return recurrence.parallel(q, k, v, steps(g, q.shape[2]), state)


def parallel_prefill(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State | None = None
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    g = steps(g, q.shape[2])
    return recurrence.parallel(q, k, v, g, state), recurrence.last_state(k, v, g, state)


def chunk(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, varlen: int = 1, state: State | None = None
) -> Tensor:
    """Chunked form in torch; O(T) time and memory; states in float32; varlen sequences one by one."""
    g = steps(g, q.shape[2])
    return map_sequences(
        lambda q, k, v, g: recurrence.chunked(q, k, v, g, state)[0], (q, k, v, g), varlen, axis=2
    )


def chunk_prefill(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State | None = None
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    return recurrence.chunked(q, k, v, steps(g, q.shape[2]), state)


def decode(q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State) -> tuple[Tensor, State]:
    """Return the output of one token and the state after it, with one product for all heads."""
    return recurrence.step(q, k, v, steps(g, 1), state)


def recurrent_fwd(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, varlen: int = 1, state: State | None = None
) -> Tensor:
    """Recurrent form in torch: one step per token; the state in float32; varlen sequences one by one."""
    tensors = (q, k, v, tokens_first(g, q))
    return map_sequences(
        lambda q, k, v, g: recurrence.recurrent(q, k, v, g, state)[0], tensors, varlen, axis=0
    )


def recurrent_prefill(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State | None = None
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    return recurrence.recurrent(q, k, v, tokens_first(g, q), state)


def tokens_first(g: Tensor, q: Tensor) -> Tensor:
    """Return the log-decay of every step, [T, B or 1, H]: g itself, or a view of a constant decay, [H]."""
    return steps(g, q.shape[0]).permute(2, 0, 1) if g.dim() == 1 else g


naive = Form(
    parallel, parallel_prefill, decode, layout="BHTD", flops=quadratic_flops, extra_bytes=score_bytes
)
chunked = Form(chunk, chunk_prefill, decode, layout="BHTD", flops=chunk_flops, extra_bytes=chunk_bytes)


def recurrent(gated: bool) -> Form:
    """Return the recurrent form.

    Args:
        gated: Whether decays are inputs with a gradient, which costs a product with the state.
    """

    @sum_flops
    def step_flops(case: Case) -> float:
        return flops.recurrent(case, case.K, case.V, gated=gated)

    return Form(
        recurrent_fwd,
        recurrent_prefill,
        recurrent_prefill,
        layout="TBHD",
        flops=step_flops,
        extra_bytes=step_bytes,
    )
