"""Rule: how an operator's inputs make the recurrence S_t = diag(exp g) S_{t-1} + b (a^T S_{t-1}) + k v^T."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Arguments = tuple["Tensor", "Tensor", "Tensor", "Tensor", tuple["Tensor", "Tensor"] | None]
"""q, k, v, g, and (a, b) or None where the transition is diagonal."""


@dataclass(frozen=True)
class Parametrization:
    """How an operator's inputs make the recurrence, and what that says of its cost.

    Attributes:
        arguments: Takes the operator's inputs in one layout, [..., D], and returns q, which comes out scaled,
            k, v, the log-decays g, [..., 1] or [..., K], and (a, b).
        gates: The gates that are inputs: one a "head", one for each dimension of a "key", or None.
        low_rank: Whether there are a and b.
    """

    arguments: Callable[..., Arguments]
    gates: Literal["head", "key"] | None
    low_rank: bool = True


def delta_rule(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor) -> Arguments:
    """Return the delta rule behind gates g [..., 1 or K]: a = exp(g) k, b = -beta k, keys times beta."""
    written = beta[..., None] * k
    return q * q.shape[-1] ** -0.5, written, v, g, (g.exp() * k, -written)
