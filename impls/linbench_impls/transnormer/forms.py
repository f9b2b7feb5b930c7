"""NormAttention: o_t = RMSNorm(S_t^T phi(q_t)), S_t = S_{t-1} + phi(k_t) v_t^T, phi = elu + 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench_impls.linear.mathematics import feature_map, last_state
from linbench_impls.linear.mathematics import parallel as masked_products
from linbench_impls.toolkit import transition

if TYPE_CHECKING:
    from torch import Tensor

EPSILON = 1e-6

State = tuple["Tensor", ...]


def rms_norm(x: Tensor) -> Tensor:
    """Return x / sqrt(mean(x^2) + 1e-6) over the last axis, without weights."""
    scale: Tensor = (x.square().mean(-1, keepdim=True) + EPSILON).rsqrt()
    return x * scale


def phi(x: Tensor) -> Tensor:
    """Return elu(x) + 1."""
    return feature_map(x, "elu1")


def chunked(q: Tensor, k: Tensor, v: Tensor, *, state: State | None) -> tuple[Tensor, State]:
    """Chunked form in torch: O(T) time and memory; in float32."""
    no_gate = q.new_zeros(*q.shape[:3], 1)
    o, S = transition.diagonal(phi(q), phi(k), v, no_gate, None if state is None else state[0])
    return rms_norm(o), (S,)


def recurrent(q: Tensor, k: Tensor, v: Tensor, *, state: State | None) -> tuple[Tensor, State]:
    """Recurrent form: one step a token; in float32."""
    no_gate = q.new_zeros(*q.shape[:3], 1)
    o, S = transition.recurrent(phi(q), phi(k), v, no_gate, None if state is None else state[0])
    return rms_norm(o), (S,)


def parallel(q: Tensor, k: Tensor, v: Tensor, *, state: State | None) -> tuple[Tensor, State]:
    """Parallel form: tril(phi(Q) phi(K)^T) V, rows normed; quadratic in T; in float32."""
    q, k = phi(q), phi(k)
    before = None if state is None else (state[0], state[0].new_zeros(state[0].shape[:-1]))
    o = masked_products(q, k, v, False, before)
    return rms_norm(o), last_state(k, v, before)[:1]
