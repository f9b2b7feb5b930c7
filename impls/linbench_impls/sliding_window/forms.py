"""sliding_window/naive, a band of the full matrix, and chunk: two blocks of keys per block of queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case, implementation
from linbench_impls.families.local import forms
from linbench_impls.sliding_window.operator import WINDOW, cache_slots, window
from linbench_impls.toolkit.cache import new_cache
from linbench_impls.toolkit.flops import chunk_tokens, pairs

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]
DEFAULT = int(WINDOW.default)


@implementation(
    "sliding_window", "naive", layout="BHTD", flops=forms.quadratic_flops, extra_bytes=forms.score_bytes
)
def naive(q: Tensor, k: Tensor, v: Tensor, *, window: int = DEFAULT) -> Tensor:
    """Softmax of the full T x T matrix of scores, masked outside the window."""
    import torch

    first = torch.arange(q.shape[2], device=q.device) - window + 1
    return forms.full(q, k, v, first)


def flops(case: Case) -> float:
    """Return the operations of two blocks of keys per query, including masked pairs."""
    if case.mode == "decode":
        return pairs(case, cache_slots(case))
    size = window(case)
    return pairs(case, chunk_tokens(case, size) // case.B * 2 * size)


def extra_bytes(case: Case) -> float:
    """Return the bytes of scores and weights, and of two copies of keys and values."""
    copies = 4 if case.mode == "fwd_bwd" else 2
    return case.tokens * case.H * case.item_bytes * (copies * 2 * window(case) + 4 * (case.K + case.V))


@implementation("sliding_window", "chunk", layout="BHTD", flops=flops, extra_bytes=extra_bytes)
def chunk(q: Tensor, k: Tensor, v: Tensor, *, window: int = DEFAULT) -> Tensor:
    """Blocks of w queries over 2 w keys, in torch; O(T w) time and memory."""
    return forms.sliding(q, k, v, window)


@chunk.mode("prefill")
def prefill(q: Tensor, k: Tensor, v: Tensor, *, window: int = DEFAULT) -> tuple[Tensor, State]:
    """Return the output and a cache of the last w - 1 tokens with a slot for one more."""
    tokens = min(k.shape[2], window - 1)
    return forms.sliding(q, k, v, window), (new_cache(k, tokens), new_cache(v, tokens))


@chunk.mode("decode")
def decode(q: Tensor, k: Tensor, v: Tensor, *, window: int = DEFAULT, state: State) -> tuple[Tensor, State]:
    """Return the output of one token; the cache has at most the size of the window."""
    del window
    return forms.decode(q, k, v, state)
