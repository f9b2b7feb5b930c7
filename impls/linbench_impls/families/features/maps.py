"""Feature maps phi by which linear attention stands in for softmax, of x [B, H, T, K] with heads outside.

Normalised linear attention with them is S_t = S_{t-1} + phi(k_t) v_t^T, z_t = z_{t-1} + phi(k_t),
o_t = S_t^T phi(q_t) / (phi(q_t) . z_t + 1e-6).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from linbench_impls.toolkit import transition

if TYPE_CHECKING:
    from torch import Tensor

EPSILON = 1e-6

State = tuple["Tensor", ...]
Map = Callable[..., "Tensor"]
"""phi(x, *parameters)."""


def performer(x: Tensor, w: Tensor) -> Tensor:
    """Return FAVOR+'s positive random features, [B, H, T, M].

    phi(x) = M^-1/2 exp(w x' - |x'|^2 / 2), x' = K^-1/4 x; w: [M, K], rows orthogonal in blocks of K. The mean
    of phi(q) . phi(k) over w is exp(q . k / sqrt(K)).
    """
    x = x * x.shape[-1] ** -0.25
    return (x @ w.transpose(-1, -2) - x.square().sum(-1, keepdim=True) / 2).exp() / math.sqrt(w.shape[-2])


def hedgehog(x: Tensor, w: Tensor) -> Tensor:
    """Return [softmax(W x); softmax(-W x)], [B, H, T, M]; W: [H, M / 2, K]. Each half sums to 1."""
    import torch

    y = x @ w.transpose(-1, -2)
    return torch.cat([y.softmax(-1), (-y).softmax(-1)], -1)


def t2r(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Return relu(W x + b), [B, H, T, M]; W: [H, M, K], b: [H, M]."""
    return (x @ w.transpose(-1, -2) + b[:, None]).relu()


MAPS: dict[str, Map] = {"performer": performer, "hedgehog": hedgehog, "t2r": t2r}


def chunked(q: Tensor, k: Tensor, v: Tensor, state: State | None, size: int = 0) -> tuple[Tensor, State]:
    """Return output and last state of normalised linear attention chunk after chunk; O(T) time and memory.

    S and z are one state: z is what S would have of a value that is always 1.

    Args:
        q: phi(Q), [B, H, T, M].
        k: phi(K), [B, H, T, M].
        v: [B, H, T, V].
        state: S [B, H, M, V] and z [B, H, M] before the first token, or None for zero.
        size: Tokens of a chunk; 0 for the usual.
    """
    no_gate = q.new_zeros(*q.shape[:3], 1)
    o, both = transition.diagonal(q, k, with_one(v), no_gate, joint(state), size)
    return divided(o), apart(both)


def recurrent(q: Tensor, k: Tensor, v: Tensor, state: State | None) -> tuple[Tensor, State]:
    """Return output and last state one step a token; arguments are those of `chunked`."""
    no_gate = q.new_zeros(*q.shape[:3], 1)
    q, k, v, no_gate = (x.movedim(2, 0) for x in (q, k, with_one(v), no_gate))
    o, both = transition.recurrent(q, k, v, no_gate, joint(state))
    return divided(o).movedim(0, 2), apart(both)


def with_one(v: Tensor) -> Tensor:
    """Return values with a 1 behind each."""
    import torch.nn.functional as F

    return F.pad(v, (0, 1), value=1.0)


def divided(o: Tensor) -> Tensor:
    """Return all but the last number of each row, divided by that plus 1e-6."""
    return o[..., :-1] / (o[..., -1:] + EPSILON)


def joint(state: State | None) -> Tensor | None:
    """Return S and z as one tensor, [B, H, M, V + 1]."""
    import torch

    return None if state is None else torch.cat([state[0], state[1][..., None]], -1)


def apart(both: Tensor) -> State:
    """Return S and z."""
    return both[..., :-1], both[..., -1]
