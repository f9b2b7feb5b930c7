"""Native sparse attention in torch: by masks over all keys, and by gathering what each token sees.

    o_t = g_cmp cmp_t + g_slc slc_t + g_swa swa_t, each a softmax of q_t . k / sqrt(K):
    cmp over the means of the blocks of b keys that have ended at t, zero where there is none,
    slc over the keys of n blocks up to t: the first, t's own, the one before it, and those whose means score
    highest of the ended ones; swa over the last w keys.

Which blocks are selected is worked out in float64 from the inputs as they are, so that forms do not differ in
it, and has no gradient. The rest is computed in the dtype that it is given.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from linbench_impls.families.local.forms import sliding

if TYPE_CHECKING:
    from torch import Tensor

WINDOW = 64
BLOCK = 16
COUNT = 4


def means(x: Tensor, block: int) -> Tensor:
    """Return the means of the whole blocks of x [B, H, U, D], [B, H, U // b, D]."""
    whole = x.shape[2] // block
    found: Tensor = x[:, :, : whole * block].unflatten(2, (whole, block)).mean(3)
    return found


def attend(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Return attention of q [..., R, K] over the keys that are seen, [..., R, U]; zero where none is."""
    any_seen = seen.any(-1, keepdim=True)
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-1, -2)
    weights = scores.masked_fill(~seen & any_seen, -math.inf).softmax(-1)
    return weights.masked_fill(~any_seen, 0.0) @ v


def compressed(q: Tensor, k: Tensor, v: Tensor, at: Tensor, block: int) -> Tensor:
    """Return attention over means of blocks that have ended; rows of q [B, H, R, K] stand at `at`, [R]."""
    import torch

    ends = (torch.arange(k.shape[2] // block, device=q.device) + 1) * block - 1
    if not len(ends):
        return q.new_zeros(*q.shape[:3], v.shape[-1])
    return attend(q, means(k, block), means(v, block), ends <= at[:, None])


def selected(q: Tensor, k: Tensor, at: Tensor, block: int, count: int) -> tuple[Tensor, Tensor]:
    """Return the selected blocks of each row and whether there is one, both [B, H, R, n]."""
    import torch

    blocks = torch.arange(-(-k.shape[2] // block), device=q.device)
    own = at[:, None] // block
    forced = (blocks == 0) | (blocks == own) | (blocks == own - 1)
    ended = (blocks + 1) * block - 1 <= at[:, None]
    with torch.no_grad():
        centre = means(k.double(), block)
        scores = q.double() @ centre.transpose(-1, -2)
        scores = torch.nn.functional.pad(scores, (0, len(blocks) - centre.shape[2]))
        scores = scores.masked_fill(~ended, -math.inf).masked_fill(forced, math.inf)
        top = scores.topk(min(count, len(blocks)))
    return top.indices, top.values > -math.inf


def by_masks(
    q: Tensor, k: Tensor, v: Tensor, gates: tuple[Tensor, ...], at: Tensor, block: int = BLOCK
) -> Tensor:
    """Return the output of the rows at `at` over all keys, masked; quadratic where all rows are asked for.

    Args:
        q: [B, H, R, K].
        k: [B, H, U, K].
        v: [B, H, U, V].
        gates: g_cmp, g_slc and g_swa, [B, H, R].
        at: Where the rows stand among the keys, [R].
        block: b.
    """
    import torch

    u = torch.arange(k.shape[2], device=q.device)
    past = u <= at[:, None]
    index, there = selected(q, k, at, block, COUNT)
    chosen = torch.zeros(*q.shape[:3], -(-len(u) // block), dtype=torch.bool, device=q.device)
    chosen = chosen.scatter(-1, index, there)
    parts = (
        compressed(q, k, v, at, block),
        attend(q, k, v, chosen[..., u // block] & past),
        attend(q, k, v, past & (at[:, None] - u < WINDOW)),
    )
    return summed(parts, gates)


def gathered(q: Tensor, k: Tensor, v: Tensor, gates: tuple[Tensor, ...], block: int = BLOCK) -> Tensor:
    """Return the output of all rows, each with the keys of its blocks gathered; O(T^2 / b + T (n b + w))."""
    import torch

    tokens = q.shape[2]
    at = torch.arange(tokens, device=q.device)
    index, there = selected(q, k, at, block, COUNT)
    u = (index[..., None] * block + torch.arange(block, device=q.device)).flatten(3)  # [B, H, T, n b]
    seen = there.repeat_interleave(block, -1) & (u <= at[:, None])
    flat = u.clamp_max(tokens - 1).flatten(2)[..., None]
    keys, values = (
        x.gather(2, flat.expand(-1, -1, -1, x.shape[3])).unflatten(2, (tokens, -1)) for x in (k, v)
    )
    chosen = attend(q[..., None, :], keys, values, seen[..., None, :]).squeeze(-2)
    return summed((compressed(q, k, v, at, block), chosen, sliding(q, k, v, WINDOW)), gates)


def summed(parts: tuple[Tensor, ...], gates: tuple[Tensor, ...]) -> Tensor:
    """Return the sum of branches, each times its gate."""
    first, second, third = (gate[..., None] * part for gate, part in zip(gates, parts, strict=True))
    return first + second + third
