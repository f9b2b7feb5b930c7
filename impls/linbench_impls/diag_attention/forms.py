"""diag_attention/naive, blocks of the full matrix of scores, and diag_attention/chunk, all blocks at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case, implementation
from linbench_impls.diag_attention.operator import BLOCK, block, cache_slots
from linbench_impls.families.local import forms
from linbench_impls.toolkit.cache import new_cache
from linbench_impls.toolkit.flops import chunk_tokens, pairs

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]
DEFAULT = int(BLOCK.default)


@implementation(
    "diag_attention", "naive", layout="BHTD", flops=forms.quadratic_flops, extra_bytes=forms.score_bytes
)
def naive(q: Tensor, k: Tensor, v: Tensor, *, block: int = DEFAULT) -> Tensor:
    """Softmax of the full T x T matrix of scores, masked outside blocks."""
    import torch

    rows = torch.arange(q.shape[2], device=q.device)
    return forms.full(q, k, v, rows - rows % block)


def flops(case: Case) -> float:
    """Return the operations of full blocks, including their masked half."""
    if case.mode == "decode":
        return pairs(case, cache_slots(case))
    size = block(case)
    return pairs(case, chunk_tokens(case, size) // case.B * size)


def extra_bytes(case: Case) -> float:
    """Return the bytes of scores and weights."""
    copies = 4 if case.mode == "fwd_bwd" else 2
    return copies * case.tokens * case.H * block(case) * case.item_bytes


@implementation("diag_attention", "chunk", layout="BHTD", flops=flops, extra_bytes=extra_bytes)
def chunk(q: Tensor, k: Tensor, v: Tensor, *, block: int = DEFAULT) -> Tensor:
    """Causal softmax inside all blocks at once, in torch; O(T b) time and memory."""
    return forms.blocks(q, k, v, block)


@chunk.mode("prefill")
def prefill(q: Tensor, k: Tensor, v: Tensor, *, block: int = DEFAULT) -> tuple[Tensor, State]:
    """Return the output and a cache of the incomplete block with a slot for one more token."""
    tokens = k.shape[2] % block
    return forms.blocks(q, k, v, block), (new_cache(k, tokens), new_cache(v, tokens))


@chunk.mode("decode")
def decode(q: Tensor, k: Tensor, v: Tensor, *, block: int = DEFAULT, state: State) -> tuple[Tensor, State]:
    """Return the output of one token; the cache holds only its block."""
    del block
    return forms.decode(q, k, v, state)
