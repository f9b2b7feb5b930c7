"""linear/chunk: masked products inside a chunk, running sums of states between chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.linear.feature_map import feature_map
from linbench_impls.linear.options import State, one_by_one, with_options
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.chunks import cut, joined
from linbench_impls.toolkit.dtype import accumulation_dtype
from linbench_impls.toolkit.normalizer import EPSILON
from linbench_impls.toolkit.register import Form, register
from linbench_impls.toolkit.varlen import flops_of_each

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 64
BEFORE_FIRST = ((0, 0, 0, 0, 1, 0), (0, 0, 1, 0))  # pads of S and z that put a zero before the first chunk


@flops_of_each
def chunk_flops(case: Case) -> float:
    """Return the operations of the chunked form, in the masked half of a chunk too; of a step in decode."""
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
    """Chunked form in torch: O(T) time and memory; sums between chunks in float32; packed ones one by one.

    Every chunk is computed at once by batched products. Written as a loop over chunks the forward is no
    slower, but autograd then adds a gradient of full length for every slice, which is quadratic in T.
    """
    import torch
    import torch.nn.functional as F

    tokens, exact = q.shape[2], accumulation_dtype(q)
    q, k, v = cut((feature_map(q, phi), feature_map(k, phi), v), CHUNK)
    S = (k.transpose(-1, -2) @ v).to(exact).cumsum(2)  # [B, H, N, K, V], after each chunk
    z = k.sum(-2, dtype=exact).cumsum(2)  # [B, H, N, K]
    if state is None:
        state = (torch.zeros_like(S[:, :, 0]), torch.zeros_like(z[:, :, 0]))
    S, z = (
        F.pad(x, pad) + first[:, :, None] for x, first, pad in zip((S, z), state, BEFORE_FIRST, strict=True)
    )
    scores = (q @ k.transpose(-1, -2)).tril()  # [B, H, N, C, C]
    o = scores @ v + q @ S[:, :, :-1].to(q.dtype)
    if normalize:
        rows = scores.sum(-1, keepdim=True, dtype=exact) + q.to(exact) @ z[:, :, :-1, :, None]
        o = (o / (rows + EPSILON)).to(v.dtype)
    return joined(o, tokens), (S[:, :, -1], z[:, :, -1])


def decode(q: Tensor, k: Tensor, v: Tensor, phi: str, normalize: bool, state: State) -> tuple[Tensor, State]:
    """Return the output of one token and the state after it, by one product for all heads."""
    exact = accumulation_dtype(q)
    q, k = (feature_map(x, phi).to(exact) for x in (q, k))
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
        one_by_one(chunk, axis=2),
        with_options(chunk),
        with_options(decode),
        layout="BHTD",
        flops=chunk_flops,
        extra_bytes=chunk_bytes,
    ),
)
