"""The forms of S6, h_t = exp(dt_t A) * h_{t-1} + dt_t B_t u_t, y_t = C_t . h_t + D u_t."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench_impls.toolkit.scan import selective

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]


def chunked(
    u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, *, state: State | None
) -> tuple[Tensor, State]:
    """Chunked scan in torch: all chunks walked at once, twice; O(T) time and memory; in float32."""
    y, h = selective(u, dt, A, B, C, None if state is None else state[0])
    return y + D[:, None] * u, (h,)


def recurrent(
    u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, *, state: State | None
) -> tuple[Tensor, State]:
    """Recurrent form: one step a token; in float32; u, dt: [T, B, H, V], B, C: [B, T, K]."""
    import torch

    h = u.new_zeros(*u.shape[1:3], A.shape[1], A.shape[2]) if state is None else state[0]
    rows = []
    for one_u, one_dt, one_B, one_C in zip(u, dt, B.unbind(1), C.unbind(1), strict=True):
        new = one_B[:, None, :, None] * (one_dt * one_u)[..., None, :]
        h = (one_dt[..., None, :] * A).exp() * h + new
        rows.append((one_C[:, None, None, :] @ h).squeeze(-2) + D * one_u)
    return torch.stack(rows), (h,)
