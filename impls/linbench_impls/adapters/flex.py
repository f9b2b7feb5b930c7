"""flex_attention of torch: what it takes, how it is compiled, and masks of rows that see one run of keys."""

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

Seen = Callable[["Tensor", "Tensor", "Tensor", "Tensor"], "Tensor"]
"""seen(batch, head, row, column): whether a row sees a column."""

cuda_needs = needs(
    modules=("triton",),
    dtypes=("float32", "float16", "bfloat16"),
    at_least={"K": 16, "V": 16},
    capability=(8, 0),
)


def unsupported_reason(case: Case) -> str | None:
    """Return why torch's flex_attention cannot take a case: on the CPU it has no backward."""
    if case.device == "cuda":
        return cuda_needs(case)
    if case.mode == "fwd_bwd":
        return "torch's flex_attention has no backward on the CPU"
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        return f"needs a C++ compiler, and {compiler} is not there; install it or set CXX"
    return needs(dtypes=("float32", "float16", "bfloat16"))(case)


@cache
def compiled() -> Callable[..., Tensor]:
    """Return flex_attention compiled for every shape by itself, and never run uncompiled.

    Past torch's limit, 8 shapes in a process, a call would fail.
    """
    import torch
    import torch._dynamo
    from torch.nn.attention.flex_attention import flex_attention

    torch._dynamo.config.recompile_limit = SHAPES
    return torch.compile(flex_attention, dynamic=False, fullgraph=True)


def block_mask(first: Tensor, last: Tensor, seen: Seen) -> Any:
    """Return the block mask of T rows, each of which sees the keys from `first` to `last`.

    It is made from its blocks, since create_block_mask would make the T x T mask first. Neither `first` nor
    `last` may fall from row to row, and no key between those of two neighbours may be left out: then a block
    has a pair that is seen if the first key of its first row and the last key of its last row allow it.

    Args:
        first: [T], int64.
        last: [T], int64.
        seen: The same, for pairs inside a block.
    """
    import torch
    from torch.nn.attention.flex_attention import BlockMask

    tokens = len(first)
    left = torch.arange(0, tokens, BLOCK, device=first.device)
    right = (left + BLOCK - 1).clamp(max=tokens - 1)
    some = (first[left][:, None] <= right) & (last[right][:, None] >= left)
    whole = (first[right][:, None] <= left) & (last[left][:, None] >= right)
    if tokens % BLOCK:  # torch takes no block as whole that is cut off
        whole[-1] = whole[:, -1] = False
    return BlockMask.from_kv_blocks(
        *_listed(some & ~whole),
        *_listed(whole),
        BLOCK_SIZE=BLOCK,
        mask_mod=seen,
        seq_lengths=(tokens, tokens),
    )


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many blocks each row of blocks has, [1, 1, N], and which come first, [1, 1, N, N]."""
    import torch

    order = blocks.byte().argsort(stable=True, dim=-1, descending=True)
    return blocks.sum(-1, dtype=torch.int32)[None, None], order.to(torch.int32)[None, None]


def is_causal(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return whether a row may see a column."""
    del batch, head
    return row >= column
