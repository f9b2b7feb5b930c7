"""Parametrizations of the recurrence S_t = diag(exp g) S_{t-1} + b (a^T S_{t-1}) + k v^T by inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Arguments = tuple["Tensor", "Tensor", "Tensor", "Tensor", tuple["Tensor", "Tensor"] | None]
"""q, k, v, g, and (a, b), or None if the transition is diagonal."""


@dataclass(frozen=True)
class Parametrization:
    """The mapping from an operator's inputs to the recurrence, and the properties that determine its cost.

    Attributes:
        arguments: Accepts the operator's inputs in one layout, [..., D], and returns q with the scale
            applied, k, v, the log-decays g, [..., 1] or [..., K], and (a, b).
        gates: Gates that are inputs: one per "head", one per dimension of a "key", or None.
        low_rank: Whether the transition has a low-rank part, a and b.
    """

    arguments: Callable[..., Arguments]
    gates: Literal["head", "key"] | None
    low_rank: bool = True


def delta_rule(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor) -> Arguments:
    """Return a delta rule with gates g [..., 1 or K]: beta k, a = exp(g) k, b = -beta k."""
    scaled_keys = beta[..., None] * k
    return q * q.shape[-1] ** -0.5, scaled_keys, v, g, (g.exp() * k, -scaled_keys)
