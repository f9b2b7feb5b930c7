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


RULES: dict[str, Rule] = {"gla": gla}
VECTOR_GATES = ("gla", "kda", "rwkv7")
