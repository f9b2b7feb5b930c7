"""Native sparse attention in torch: by masks over all keys, and by gathering the keys of selected blocks.

    o_t = g_cmp cmp_t + g_slc slc_t + g_swa swa_t, each a softmax of q_t . k / sqrt(K):
    cmp over the means of the complete blocks of b keys up to t, zero if there is none,
    slc over the keys of n blocks up to t: the first block, the block of t, the block before it, and the
    complete blocks with the highest scores of their means; swa over the last w keys.

The block selection is computed in float64 from the inputs, so that all forms select the same blocks; it has
no gradient. The rest is computed in the dtype of the inputs.
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
    """Return the means of the complete blocks of x [B, H, U, D], [B, H, U // b, D]."""
    blocks = x.shape[2] // block
    result: Tensor = x[:, :, : blocks * block].unflatten(2, (blocks, block)).mean(3)
    return result


def attend(q: Tensor, k: Tensor, v: Tensor, visible: Tensor) -> Tensor:
    """Return attention of q [..., R, K] over the visible keys, [..., R, U]; zero in rows without any."""
    any_visible = visible.any(-1, keepdim=True)
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-1, -2)
    weights = scores.masked_fill(~visible & any_visible, -math.inf).softmax(-1)
    return weights.masked_fill(~any_visible, 0.0) @ v


def attend_to_means(q: Tensor, k: Tensor, v: Tensor, positions: Tensor, block: int) -> Tensor:
    """Return attention of rows q [B, H, R, K] at positions [R] over the means of complete blocks."""
    import torch

    ends = (torch.arange(k.shape[2] // block, device=q.device) + 1) * block - 1
    if not len(ends):
        return q.new_zeros(*q.shape[:3], v.shape[-1])
    return attend(q, means(k, block), means(v, block), ends <= positions[:, None])


def select_blocks(q: Tensor, k: Tensor, positions: Tensor, block: int, count: int) -> tuple[Tensor, Tensor]:
    """Return the indices of the selected blocks of each row and whether they are valid, both [B, H, R, n]."""
    import torch

    blocks = torch.arange(-(-k.shape[2] // block), device=q.device)
    current = positions[:, None] // block
    forced = (blocks == 0) | (blocks == current) | (blocks == current - 1)
    complete = (blocks + 1) * block - 1 <= positions[:, None]
    with torch.no_grad():
        centre = means(k.double(), block)
        scores = q.double() @ centre.transpose(-1, -2)
        scores = torch.nn.functional.pad(scores, (0, len(blocks) - centre.shape[2]))
        scores = scores.masked_fill(~complete, -math.inf).masked_fill(forced, math.inf)
        top = scores.topk(min(count, len(blocks)))
    return top.indices, top.values > -math.inf


def by_masks(
    q: Tensor, k: Tensor, v: Tensor, gates: tuple[Tensor, ...], positions: Tensor, block: int = BLOCK
) -> Tensor:
    """Return the output of some rows over all keys, with masks; quadratic in T for all rows.

    Args:
        q: [B, H, R, K].
        k: [B, H, U, K].
        v: [B, H, U, V].
        gates: g_cmp, g_slc and g_swa, [B, H, R].
        positions: Positions of the rows among the keys, [R].
        block: Keys per block, b.
    """
    import torch

    u = torch.arange(k.shape[2], device=q.device)
    causal = u <= positions[:, None]
    index, valid = select_blocks(q, k, positions, block, COUNT)
    block_mask = torch.zeros(*q.shape[:3], -(-len(u) // block), dtype=torch.bool, device=q.device)
    block_mask = block_mask.scatter(-1, index, valid)
    parts = (
        attend_to_means(q, k, v, positions, block),
        attend(q, k, v, block_mask[..., u // block] & causal),
        attend(q, k, v, causal & (positions[:, None] - u < WINDOW)),
    )
    return gated_sum(parts, gates)


def by_gathering(q: Tensor, k: Tensor, v: Tensor, gates: tuple[Tensor, ...], block: int = BLOCK) -> Tensor:
    """Return the output of all rows, gathering the keys of their blocks; O(T^2 / b + T (n b + w))."""
    import torch

    tokens = q.shape[2]
    positions = torch.arange(tokens, device=q.device)
    index, valid = select_blocks(q, k, positions, block, COUNT)
    u = (index[..., None] * block + torch.arange(block, device=q.device)).flatten(3)  # [B, H, T, n b]
    visible = valid.repeat_interleave(block, -1) & (u <= positions[:, None])
    flat = u.clamp_max(tokens - 1).flatten(2)[..., None]
    keys, values = (
        x.gather(2, flat.expand(-1, -1, -1, x.shape[3])).unflatten(2, (tokens, -1)) for x in (k, v)
    )
    parts = (
        attend_to_means(q, k, v, positions, block),
        attend(q[..., None, :], keys, values, visible[..., None, :]).squeeze(-2),
        sliding(q, k, v, WINDOW),
    )
    return gated_sum(parts, gates)


def gated_sum(parts: tuple[Tensor, ...], gates: tuple[Tensor, ...]) -> Tensor:
    """Return the sum of the branches times their gates."""
    first, second, third = (gate[..., None] * part for gate, part in zip(gates, parts, strict=True))
    return first + second + third
