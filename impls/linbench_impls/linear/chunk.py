"""linear/chunk: masked products inside a chunk, running sums of states between chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case, implementation
from linbench_impls.linear import mathematics
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.varlen import each, flops_of_each

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", "Tensor"]
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


@implementation("linear", "chunk", layout="BHTD", flops=chunk_flops, extra_bytes=chunk_bytes)
def chunk(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    feature_map: str = "elu1",
    normalize: bool = True,
    packed: int = 1,
    state: State | None = None,
) -> Tensor:
    """Chunked form in torch: O(T) time and memory; sums between chunks in float32; packed ones one by one."""

    def form(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return prefill(q, k, v, feature_map=feature_map, normalize=normalize, state=state)[0]

    return each(form, (q, k, v), packed, axis=2)


@chunk.mode("prefill")
def prefill(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    feature_map: str = "elu1",
    normalize: bool = True,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token.

    Every chunk is computed at once by batched products. Written as a loop over chunks the forward is no
    slower, but autograd then adds a gradient of full length for every slice, which is quadratic in T.
    """
    import torch
    import torch.nn.functional as F

    tokens = q.shape[2]
    exact = mathematics.sum_dtype(q)
    q, k = (mathematics.feature_map(x, feature_map) for x in (q, k))
    q, k, v = (F.pad(x, (0, 0, 0, -tokens % CHUNK)).unflatten(2, (-1, CHUNK)) for x in (q, k, v))
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
        o = (o / (rows + mathematics.EPSILON)).to(v.dtype)
    return o.flatten(2, 3)[:, :, :tokens], (S[:, :, -1], z[:, :, -1])


@chunk.mode("decode")
def decode(
    q: Tensor, k: Tensor, v: Tensor, *, feature_map: str = "elu1", normalize: bool = True, state: State
) -> tuple[Tensor, State]:
    """Return the output of one token and the state after it, by one product for all heads."""
    exact = mathematics.sum_dtype(q)
    q, k = (mathematics.feature_map(x, feature_map).to(exact) for x in (q, k))
    S = state[0] + k.transpose(-1, -2) * v  # [B, H, K, V]
    z = state[1] + k.squeeze(2)
    o = q @ S
    if normalize:
        o = o / ((q @ z[..., None]) + mathematics.EPSILON)
    return o.to(v.dtype), (S, z)
