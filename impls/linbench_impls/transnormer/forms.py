"""NormAttention: o_t = RMSNorm(S_t^T phi(q_t)), S_t = S_{t-1} + phi(k_t) v_t^T, phi = elu + 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.toolkit import flops, normalizer, transition
from linbench_impls.toolkit.register import float32_form, register

if TYPE_CHECKING:
    from torch import Tensor

EPSILON = 1e-6

State = tuple["Tensor", ...]


def rms_norm(x: Tensor) -> Tensor:
    """Return x / sqrt(mean(x^2) + 1e-6) over the last axis, without weights.

    Rows are divided by their largest absolute value if it is above 1, so that no square overflows.
    """
    scale = x.detach().abs().amax(-1, keepdim=True).clamp(min=1)
    x = x / scale
    inverse: Tensor = (x.square().mean(-1, keepdim=True) + EPSILON / scale.square()).rsqrt()
    return x * inverse


def phi(x: Tensor) -> Tensor:
    """Return elu(x) + 1."""
    import torch.nn.functional as F

    return F.elu(x) + 1


def chunked(q: Tensor, k: Tensor, v: Tensor, *, state: State | None) -> tuple[Tensor, State]:
    """Chunked form in torch; O(T) time and memory; in float32."""
    no_gate = q.new_zeros(*q.shape[:3], 1)
    o, S = transition.diagonal(phi(q), phi(k), v, no_gate, None if state is None else state[0])
    return rms_norm(o), (S,)


def recurrent(q: Tensor, k: Tensor, v: Tensor, *, state: State | None) -> tuple[Tensor, State]:
    """Recurrent form in torch: one step per token; in float32."""
    no_gate = q.new_zeros(*q.shape[:3], 1)
    o, S = transition.recurrent(phi(q), phi(k), v, no_gate, None if state is None else state[0])
    return rms_norm(o), (S,)


def parallel(q: Tensor, k: Tensor, v: Tensor, *, state: State | None) -> tuple[Tensor, State]:
    """Parallel form in torch: tril(phi(Q) phi(K)^T) V with an RMS norm; quadratic in T; in float32."""
    q, k = phi(q), phi(k)
    before = None if state is None else (state[0], state[0].new_zeros(state[0].shape[:-1]))
    o = normalizer.parallel(q, k, v, False, before)
    return rms_norm(o), normalizer.last_state(k, v, before)[:1]


def quadratic_flops(case: Case) -> float:
    """Return the operations of the full products, including the masked half, and of the last state."""
    return flops.parallel(case, case.K, case.V) + flops.last_state(case, case.K, case.V)


def score_bytes(case: Case) -> float:
    """Return the bytes of the T x T scores and their saved copies."""
    copies = 4 if case.mode == "fwd_bwd" else 2
    tokens = case.tokens // case.B
    return max(4, case.item_bytes) * case.tokens * case.H * (copies * tokens + 4 * case.K)


def chunk_flops(case: Case) -> float:
    """Return the operations of the chunked form, including the masked half of a chunk."""
    return flops.chunked(case, case.K, case.V, transition.SCALAR_CHUNK)


def step_flops(case: Case) -> float:
    """Return the operations of T steps, or of one in decode."""
    return flops.recurrent(case, case.K, case.V)


register(
    "transnormer",
    "naive",
    float32_form(parallel, layout="BHTD", flops=quadratic_flops, extra_bytes=score_bytes),
)
register(
    "transnormer",
    "chunk",
    float32_form(chunked, layout="BHTD", flops=chunk_flops, extra_bytes=transition.chunk_bytes),
)
register(
    "transnormer",
    "recurrent",
    float32_form(recurrent, layout="TBHD", flops=step_flops, extra_bytes=transition.step_bytes),
)
