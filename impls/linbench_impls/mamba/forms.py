"""The forms of S6, h_t = exp(dt_t A) * h_{t-1} + dt_t B_t u_t, y_t = C_t . h_t + D u_t."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.register import exact, register
from linbench_impls.toolkit.scan import SCAN_CHUNK, selective
from linbench_impls.toolkit.transition import step_bytes

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


def chunk_flops(case: Case) -> float:
    """Return the operations of two walks of three products, the readout, and what carries over each chunk.

    In backward every exponent is one product more. The first walk is for the states after chunks.
    """
    made, _ = flops.state_passes(case, SCAN_CHUNK)
    first = 3 * made + (made > 1)
    second = 4 * flops.passes(case) + flops.differentiated(case)
    carried = 2 * made + (made > 1)
    tokens = flops.chunk_tokens(case, SCAN_CHUNK)
    return 2 * tokens * case.H * case.K * case.V * (first + second + carried / SCAN_CHUNK)


def chunk_bytes(case: Case) -> float:
    """Return the bytes of the states of every chunk, or in fwd_bwd of every token, of both walks."""
    states = 8 if case.mode == "fwd_bwd" else 6 / SCAN_CHUNK
    width = max(4, case.item_bytes)
    return width * case.tokens * case.H * (states * case.K * case.V + 4 * case.V)


def step_flops(case: Case) -> float:
    """Return the operations of T steps: dt A, the state times its exponent, dt B u, the readout."""
    return flops.recurrent(case, case.K, case.V, products=4, gated=True)


register("mamba", "chunk", exact(chunked, layout="BHTD", flops=chunk_flops, extra_bytes=chunk_bytes))
register("mamba", "recurrent", exact(recurrent, layout="TBHD", flops=step_flops, extra_bytes=step_bytes))
