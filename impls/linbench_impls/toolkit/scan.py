"""Scans over tokens: the running maximum of a max-plus recurrence, and S6's selective scan."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SCAN_CHUNK = 64


def running_maximum(a: Tensor, b: Tensor, first: Tensor) -> Tensor:
    """Return m_t = max(a_t + m_{t-1}, b_t) for every token, [..., T], in log2(T) steps and O(T) memory.

    Steps compose: (a, b) followed by (a', b') is (a + a', max(a' + b, b')). Nothing is subtracted, so no
    digits are lost where a is far below 0. The result has no gradient.

    Args:
        a: [..., T].
        b: [..., T].
        first: m_0, [...].
    """
    import torch
    import torch.nn.functional as F

    a, b, first = a.detach(), b.detach(), first.detach()
    reach = 1
    while reach < a.shape[-1]:
        b = torch.maximum(b, a + F.pad(b[..., :-reach], (reach, 0), value=-math.inf))
        a = a + F.pad(a[..., :-reach], (reach, 0))
        reach *= 2
    return torch.maximum(a + first[..., None], b)


def selective(
    u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, h: Tensor | None, size: int = SCAN_CHUNK
) -> tuple[Tensor, Tensor]:
    """Return y_t = C_t . h_t and the last state of h_t = exp(dt_t A) * h_{t-1} + dt_t B_t u_t.

    The first pass scans all chunks in parallel from a zero state. The states at their ends are then carried
    from chunk to chunk, and the second pass scans all chunks again from their initial states. Exponents are
    never above 0. Time and memory are O(T).

    Args:
        u: [B, H, T, V].
        dt: [B, H, T, V], above 0.
        A: [H, K, V], below 0.
        B: [B, T, K], for all heads.
        C: [B, T, K], for all heads.
        h: The state before the first token, [B, H, K, V], or None for zero.
        size: Tokens per chunk.
    """
    import torch
    import torch.nn.functional as F

    tokens = u.shape[2]
    pad = (0, 0, 0, -tokens % size)
    u, dt = (F.pad(x, pad).unflatten(2, (-1, size)) for x in (u, dt))  # [B, H, N, C, V]
    B, C = (F.pad(x, pad).unflatten(1, (-1, size)) for x in (B, C))  # [B, N, C, K]
    steps = list(zip(u.unbind(3), dt.unbind(3), B.unbind(2), C.unbind(2), strict=True))

    def advance(h: Tensor, u: Tensor, dt: Tensor, B: Tensor) -> Tensor:
        """Return the states [B, H, N, K, V] of all chunks after one more token."""
        new = B[:, None, :, :, None] * (dt * u)[..., None, :]
        return (dt[..., None, :] * A[:, None]).exp() * h + new

    ends = u.new_zeros(*u.shape[:3], A.shape[1], A.shape[2])
    for u_t, dt_t, B_t, _ in steps:
        ends = advance(ends, u_t, dt_t, B_t)
    decays = (dt.sum(3)[..., None, :] * A[:, None]).exp()
    h = torch.zeros_like(ends[:, :, 0]) if h is None else h
    before = []
    for end, decay in zip(ends.unbind(2), decays.unbind(2), strict=True):
        before.append(h)
        h = decay * h + end
    states = torch.stack(before, 2)
    rows = []
    for u_t, dt_t, B_t, C_t in steps:
        states = advance(states, u_t, dt_t, B_t)
        rows.append((C_t[:, None, :, None, :] @ states).squeeze(-2))
    return torch.stack(rows, 3).flatten(2, 3)[:, :, :tokens], h
