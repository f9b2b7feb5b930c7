"""How each operator's inputs make the recurrence S_t = diag(exp g) S_{t-1} + b (a^T S_{t-1}) + k v^T.

A rule takes an operator's inputs in one layout, [..., D], and returns q, which comes out scaled, k, v, g and
(a, b), or None where the transition is diagonal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Arguments = tuple["Tensor", "Tensor", "Tensor", "Tensor", tuple["Tensor", "Tensor"] | None]
Rule = Callable[..., Arguments]


def gla(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Arguments:
    """Return a gate for each dimension of a key, and no low rank."""
    return q * q.shape[-1] ** -0.5, k, v, g, None


def delta(q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Arguments:
    """Return the delta rule without a gate: a = k, b = -beta k, keys times beta."""
    return kda(q, k, v, beta.new_zeros(beta.shape)[..., None], beta)


def gated_delta(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor) -> Arguments:
    """Return the delta rule behind one gate a head."""
    return kda(q, k, v, g[..., None], beta)


def kda(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor) -> Arguments:
    """Return the delta rule behind a gate for each dimension of a key: a = exp(g) k, b = -beta k."""
    written = beta[..., None] * k
    return q * q.shape[-1] ** -0.5, written, v, g, (g.exp() * k, -written)


def rwkv7(q: Tensor, k: Tensor, v: Tensor, g: Tensor, kappa: Tensor, alpha: Tensor) -> Arguments:
    """Return a = -kappa, b = alpha kappa, with keys as they are and no scale."""
    return q, k, v, g, (-kappa, alpha * kappa)


RULES: dict[str, Rule] = {
    "gla": gla,
    "delta": delta,
    "gated_delta": gated_delta,
    "kda": kda,
    "rwkv7": rwkv7,
}
VECTOR_GATES = ("gla", "kda", "rwkv7")
