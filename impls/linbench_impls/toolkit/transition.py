"""Recurrences with a diagonal plus low-rank transition (DPLR), chunk by chunk and token by token.

    S_t = diag(exp g_t) S_{t-1} + b_t (a_t^T S_{t-1}) + k_t v_t^T        o_t = S_t^T q_t

Without a and b it is gated linear attention. The delta rule, S' = G S, S = S' + beta k (v - S'^T k)^T, is
a = G k, b = -beta k, with beta k in place of k. Every function computes in the dtype of its inputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.toolkit.chunks import decay_weights, join_chunks, products, shift_rows, split_into_chunks

if TYPE_CHECKING:
    from torch import Tensor

SCALAR_CHUNK = 64
VECTOR_CHUNK = 16


def chunk_size(g: Tensor) -> int:
    """Return the tokens per chunk: fewer if there is one gate per dimension of a key."""
    return SCALAR_CHUNK if g.shape[-1] == 1 else VECTOR_CHUNK


def diagonal(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, S: Tensor | None, size: int = 0
) -> tuple[Tensor, Tensor]:
    """Return output and last state of S_t = diag(exp g_t) S_{t-1} + k_t v_t^T in O(T) time and memory.

    With c the running sum of g in a chunk and S the state before it,

        o_t = S^T (exp(c_t) q_t) + sum_{s <= t} (sum_d q_td k_sd exp(c_td - c_sd)) v_s.

    States pass from chunk to chunk in a loop over `unbind`, whose gradient is one `stack`.

    Args:
        q: [B, H, T, K].
        k: [B, H, T, K].
        v: [B, H, T, V].
        g: Log-decays, never above 0, [B, H, T, 1] or [B, H, T, K].
        S: The state before the first token, [B, H, K, V], or None for zero.
        size: Tokens per chunk; 0 for `chunk_size(g)`.
    """
    import torch

    tokens = q.shape[2]
    q, k, v, g = split_into_chunks((q, k, v, g), size or chunk_size(g))
    weights, from_start = decay_weights(g), g.cumsum(-2).exp()
    updates = (k * weights[..., -1, :, :]).transpose(-1, -2) @ v  # [B, H, N, K, V], of each chunk
    decays = from_start[..., -1:, :].transpose(-1, -2)  # [B, H, N, 1 or K, 1]
    S = torch.zeros_like(updates[:, :, 0]) if S is None else S
    before = []
    for update, decay in zip(updates.unbind(2), decays.unbind(2), strict=True):
        before.append(S)
        S = decay * S + update
    o = products(q, k, weights) @ v + (q * from_start) @ torch.stack(before, 2)
    return join_chunks(o, tokens), S


def low_rank(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    a: Tensor,
    b: Tensor,
    S: Tensor | None,
    size: int = 0,
) -> tuple[Tensor, Tensor]:
    """Return output and last state of the full recurrence in O(T) time and memory, by the WY form.

    With u_t = S_{t-1}^T a_t, in a chunk where c is the running sum of the gates,

        u_t = S^T (exp(c_{t-1}) a_t) + sum_{s < t} (A^ab_ts u_s + A^ak_ts v_s),

    A^xy_ts = sum_d x_td y_sd exp(c_{t-1,d} - c_sd): a triangular system, solved once for all right-hand
    sides (the UT transform): U = W S + U0. The state after the chunk is then (diag(exp c_C) + B^T W) S +
    K^T V + B^T U0, where B and K are decayed to the end of the chunk.

    Args:
        q: [B, H, T, K].
        k: [B, H, T, K].
        v: [B, H, T, V].
        g: Log-decays, never above 0, [B, H, T, 1] or [B, H, T, K].
        a: [B, H, T, K].
        b: [B, H, T, K].
        S: The state before the first token, [B, H, K, V], or None for zero.
        size: Tokens per chunk; 0 for `chunk_size(g)`.
    """
    import torch
    import torch.nn.functional as F

    tokens, keys = q.shape[2], q.shape[3]
    q, k, v, g, a, b = split_into_chunks((q, k, v, g, a, b), size or chunk_size(g))
    weights, from_start = decay_weights(g), g.cumsum(-2).exp()
    earlier = shift_rows(weights)  # up to the token before
    earlier_from_start = F.pad(from_start[..., :-1, :], (0, 0, 1, 0), value=1.0)
    right = torch.cat([a * earlier_from_start, products(a, k, earlier) @ v], -1)
    system = -products(a, b, earlier)  # the solver treats the diagonal as ones
    W, U0 = torch.linalg.solve_triangular(system, right, upper=False, unitriangular=True).split(
        [keys, v.shape[-1]], -1
    )
    to_end = weights[..., -1, :, :]
    B = (b * to_end).transpose(-1, -2)  # [B, H, N, K, C]
    updates = (k * to_end).transpose(-1, -2) @ v + B @ U0  # [B, H, N, K, V]
    transitions = B @ W  # [B, H, N, K, K]
    decays = from_start[..., -1:, :].transpose(-1, -2)  # [B, H, N, 1 or K, 1]
    S = torch.zeros_like(updates[:, :, 0]) if S is None else S
    before = []
    for update, transition, decay in zip(
        updates.unbind(2), transitions.unbind(2), decays.unbind(2), strict=True
    ):
        before.append(S)
        S = decay * S + transition @ S + update
    states = torch.stack(before, 2)
    U = U0 + W @ states
    o = products(q, k, weights) @ v + products(q, b, weights) @ U + (q * from_start) @ states
    return join_chunks(o, tokens), S


def recurrent(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    S: Tensor | None,
    ab: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return output [T, B, H, V] and last state, one step per token.

    Args:
        q: [T, B, H, K].
        k: [T, B, H, K].
        v: [T, B, H, V].
        g: Log-decays, [T, B, H, 1] or [T, B, H, K].
        S: The state before the first token, [B, H, K, V], or None for zero.
        ab: a and b, [T, B, H, K], or None if the transition is diagonal.
    """
    import torch

    S = k.new_zeros(*k.shape[1:], v.shape[-1]) if S is None else S
    outputs = []
    for t, (query, key, value, gate) in enumerate(zip(q, k, v, g.exp(), strict=True)):
        new = key[..., :, None] * value[..., None, :]
        if ab is not None:
            new = new + ab[1][t][..., :, None] * (ab[0][t][..., None, :] @ S)
        S = gate[..., :, None] * S + new
        outputs.append((query[..., None, :] @ S).squeeze(-2))
    return torch.stack(outputs), S


def chunk_bytes(case: Case, size: int = SCALAR_CHUNK, matrices: int = 1, gates: int = 1) -> float:
    """Return the bytes of states, of C x C matrices and of their gates in a chunked form.

    Args:
        case: The case.
        size: Tokens per chunk.
        matrices: Number of C x C matrices per chunk.
        gates: Log-decays per token, 1 or K.
    """
    width = max(4, case.item_bytes)
    states = 3 * case.K * (case.V + (case.K if matrices > 1 else 0)) / size
    rows = 8 * (case.K + case.V) + matrices * size * (1 + 3 * gates)
    return width * case.tokens * case.H * (states + rows) * (1.5 if case.mode == "fwd_bwd" else 1)


def step_bytes(case: Case) -> float:
    """Return the bytes of the states saved for backward in the recurrent form, four per token."""
    states = 4 * case.tokens * case.H * case.K * case.V if case.mode == "fwd_bwd" else 0
    return max(4, case.item_bytes) * (states + 3 * case.tokens * case.H * (case.K + case.V))
