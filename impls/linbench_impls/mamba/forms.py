"""The forms of S6, h_t = exp(dt_t A) * h_{t-1} + dt_t B_t u_t, y_t = C_t . h_t + D u_t."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.register import float32_form, register
from linbench_impls.toolkit.scan import SCAN_CHUNK, selective
from linbench_impls.toolkit.transition import step_bytes

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]


def chunked(
    u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, *, state: State | None
) -> tuple[Tensor, State]:
    """Chunked scan in torch, two passes over all chunks in parallel; O(T) time and memory; in float32."""
    y, h = selective(u, dt, A, B, C, None if state is None else state[0])
    return y + D[:, None] * u, (h,)


def recurrent(
    u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, *, state: State | None
) -> tuple[Tensor, State]:
    """Recurrent form in torch: one step per token; in float32; u, dt: [T, B, H, V], B, C: [B, T, K]."""
    import torch

    h = u.new_zeros(*u.shape[1:3], A.shape[1], A.shape[2]) if state is None else state[0]
    rows = []
    for u_t, dt_t, B_t, C_t in zip(u, dt, B.unbind(1), C.unbind(1), strict=True):
        new = B_t[:, None, :, None] * (dt_t * u_t)[..., None, :]
        h = (dt_t[..., None, :] * A).exp() * h + new
        rows.append((C_t[:, None, None, :] @ h).squeeze(-2) + D * u_t)
    return torch.stack(rows), (h,)


def chunk_flops(case: Case) -> float:
    """Return the operations of two scans of three products, the readout, and the carry over each chunk.

    In backward every exponent is one more product. The first scan is for the states after chunks.
    """
    writes, _ = flops.state_passes(case, SCAN_CHUNK)
    first = 3 * writes + (writes > 1)
    second = 4 * flops.passes(case) + flops.has_backward(case)
    carry = 2 * writes + (writes > 1)
    tokens = flops.chunk_tokens(case, SCAN_CHUNK)
    return 2 * tokens * case.H * case.K * case.V * (first + second + carry / SCAN_CHUNK)


def chunk_bytes(case: Case) -> float:
    """Return the bytes of the states in both scans: one per chunk, or one per token in fwd_bwd."""
    states = 8 if case.mode == "fwd_bwd" else 6 / SCAN_CHUNK
    width = max(4, case.item_bytes)
    return width * case.tokens * case.H * (states * case.K * case.V + 4 * case.V)


def step_flops(case: Case) -> float:
    """Return the operations of T steps: dt A, the state times its exponent, dt B u, the readout."""
    return flops.recurrent(case, case.K, case.V, products=4, gated=True)


register("mamba", "chunk", float32_form(chunked, layout="BHTD", flops=chunk_flops, extra_bytes=chunk_bytes))
register(
    "mamba", "recurrent", float32_form(recurrent, layout="TBHD", flops=step_flops, extra_bytes=step_bytes)
)
