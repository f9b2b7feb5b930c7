"""linear/chunk: masked products inside chunks, cumulative sums of states between chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.linear.feature_map import feature_map
from linbench_impls.linear.options import State, fwd_per_sequence, with_options
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.chunks import join_chunks, split_into_chunks
from linbench_impls.toolkit.dtype import accumulation_dtype
from linbench_impls.toolkit.normalizer import EPSILON
from linbench_impls.toolkit.register import Form, register
from linbench_impls.toolkit.varlen import sum_flops

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 64
BEFORE_FIRST = ((0, 0, 0, 0, 1, 0), (0, 0, 1, 0))  # padding of S and z with a zero before the first chunk


@sum_flops
def chunk_flops(case: Case) -> float:
    """Return the operations of the chunked form including masked halves, or of one step in decode."""
    if case.mode == "decode":
        return flops.recurrent(case, case.K, case.V)
    token = 4 * case.K * case.V + 2 * CHUNK * (case.K + case.V)
    return flops.chunk_tokens(case, CHUNK) * case.H * token * flops.passes(case)


def chunk_bytes(case: Case) -> float:
    """Return the bytes of the states at chunk ends, of the scores, and of phi(Q) and phi(K)."""
    per_token = 4 * case.K * case.V / CHUNK + 2 * CHUNK * case.item_bytes + 2 * case.K * case.item_bytes
    return case.tokens * case.H * per_token * (3 if case.mode == "fwd_bwd" else 1)


def chunk(
    q: Tensor, k: Tensor, v: Tensor, phi: str, normalize: bool, state: State | None
) -> tuple[Tensor, State]:
    """Chunked form in torch; O(T) time and memory; sums over chunks in float32; varlen one by one.

    All chunks are computed at once by batched products. A loop over chunks would be no slower in forward,
    but autograd would then add a gradient of full length for every slice, which is quadratic in T.
    """
    import torch
    import torch.nn.functional as F

    tokens, accumulation = q.shape[2], accumulation_dtype(q)
    q, k, v = split_into_chunks((feature_map(q, phi), feature_map(k, phi), v), CHUNK)
    S = (k.transpose(-1, -2) @ v).to(accumulation).cumsum(2)  # [B, H, N, K, V], after each chunk
    z = k.sum(-2, dtype=accumulation).cumsum(2)  # [B, H, N, K]
    if state is None:
        state = (torch.zeros_like(S[:, :, 0]), torch.zeros_like(z[:, :, 0]))
    S, z = (
        F.pad(x, pad) + initial[:, :, None]
        for x, initial, pad in zip((S, z), state, BEFORE_FIRST, strict=True)
    )
    scores = (q @ k.transpose(-1, -2)).tril()  # [B, H, N, C, C]
    o = scores @ v + q @ S[:, :, :-1].to(q.dtype)
    if normalize:
        rows = scores.sum(-1, keepdim=True, dtype=accumulation) + q.to(accumulation) @ z[:, :, :-1, :, None]
        o = (o / (rows + EPSILON)).to(v.dtype)
    return join_chunks(o, tokens), (S[:, :, -1], z[:, :, -1])


def decode(q: Tensor, k: Tensor, v: Tensor, phi: str, normalize: bool, state: State) -> tuple[Tensor, State]:
    """Return the output of one token and the state after it, with one product for all heads."""
    accumulation = accumulation_dtype(q)
    q, k = (feature_map(x, phi).to(accumulation) for x in (q, k))
    S = state[0] + k.transpose(-1, -2) * v  # [B, H, K, V]
    z = state[1] + k.squeeze(2)
    o = q @ S
    if normalize:
        o = o / ((q @ z[..., None]) + EPSILON)
    return o.to(v.dtype), (S, z)


register(
    "linear",
    "chunk",
    Form(
        fwd_per_sequence(chunk, axis=2),
        with_options(chunk),
        with_options(decode),
        layout="BHTD",
        flops=chunk_flops,
        extra_bytes=chunk_bytes,
    ),
)
