"""flex_attention of torch: supported cases, compilation, and masks in which a row sees a range of keys."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from linbench import Case, needs

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 128
SHAPES = 4096

MaskFunction = Callable[["Tensor", "Tensor", "Tensor", "Tensor"], "Tensor"]
"""is_visible(batch, head, row, column): whether a row sees a column."""

cuda_needs = needs(
    modules=("triton",),
    dtypes=("float32", "float16", "bfloat16"),
    at_least={"K": 16, "V": 16},
    capability=(8, 0),
)


def unsupported_reason(case: Case) -> str | None:
    """Return why torch's flex_attention does not support a case: on the CPU it has no backward."""
    if case.device == "cuda":
        return cuda_needs(case)
    if case.mode == "fwd_bwd":
        return "torch's flex_attention has no backward on the CPU"
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        return f"needs a C++ compiler, and {compiler} was not found; install it or set CXX"
    return needs(dtypes=("float32", "float16", "bfloat16"))(case)


@cache
def compiled() -> Callable[..., Tensor]:
    """Return flex_attention compiled separately for every shape, without an uncompiled fallback.

    Beyond torch's limit of 8 shapes per process a call would fail, so the limit is raised.
    """
    import torch
    import torch._dynamo
    from torch.nn.attention.flex_attention import flex_attention

    torch._dynamo.config.recompile_limit = SHAPES
    return torch.compile(flex_attention, dynamic=False, fullgraph=True)


def block_mask(first: Tensor, last: Tensor, is_visible: MaskFunction) -> Any:
    """Return the block mask of T rows, in which each row sees the keys from `first` to `last`.

    It is computed from the blocks, because create_block_mask would allocate the T x T mask. `first` and
    `last` must not decrease from row to row, and the ranges of two neighbouring rows must leave no gap. Then
    a block has a visible pair if the first key of its first row and the last key of its last row allow it.

    Args:
        first: First key of each row, [T], int64.
        last: Last key of each row, [T], int64.
        is_visible: The same mask as a function, for pairs inside a block.
    """
    import torch
    from torch.nn.attention.flex_attention import BlockMask

    tokens = len(first)
    begin = torch.arange(0, tokens, BLOCK, device=first.device)
    end = (begin + BLOCK - 1).clamp(max=tokens - 1)
    any_visible = (first[begin][:, None] <= end) & (last[end][:, None] >= begin)
    all_visible = (first[end][:, None] <= begin) & (last[begin][:, None] >= end)
    if tokens % BLOCK:  # torch does not accept an incomplete block as full
        all_visible[-1] = all_visible[:, -1] = False
    return BlockMask.from_kv_blocks(
        *_block_indices(any_visible & ~all_visible),
        *_block_indices(all_visible),
        BLOCK_SIZE=BLOCK,
        mask_mod=is_visible,
        seq_lengths=(tokens, tokens),
    )


def _block_indices(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Return the number of blocks in each row of blocks, [1, 1, N], and their indices, [1, 1, N, N]."""
    import torch

    order = blocks.byte().argsort(stable=True, dim=-1, descending=True)
    return blocks.sum(-1, dtype=torch.int32)[None, None], order.to(torch.int32)[None, None]


def is_causal(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return whether a row sees a column."""
    del batch, head
    return row >= column
