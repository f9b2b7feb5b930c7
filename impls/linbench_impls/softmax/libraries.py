"""softmax/flash-attn-2 and flash-attn-3, if installed, and flex: torch's flex_attention."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from linbench import implementation
from linbench_impls.adapters import flex
from linbench_impls.adapters.flash import FLASH_2, FLASH_3, Flash
from linbench_impls.toolkit.cache import new_cache
from linbench_impls.toolkit.register import Form, register
from linbench_impls.toolkit.varlen import cu_seqlens, lengths, sequence_ids, starts

if TYPE_CHECKING:
    import torch
    from torch import Tensor

State = tuple["Tensor", ...]


def flash_form(flash: Flash) -> Form:
    """Return the form of a flash-attn version; its scale is K^-1/2."""

    def fwd(
        q: Tensor, k: Tensor, v: Tensor, *, causal: bool = True, group: int = 1, varlen: int = 1
    ) -> Tensor:
        del group  # flash-attn infers it from the shapes
        library = import_module(flash.module)
        if varlen == 1:
            o: Tensor = library.flash_attn_func(q, k, v, causal=causal)
            return o
        edges, longest = cu_seqlens(q, varlen), max(lengths(q.shape[1], varlen))
        o = library.flash_attn_varlen_func(
            *(x.squeeze(0) for x in (q, k, v)),
            cu_seqlens_q=edges,
            cu_seqlens_k=edges,
            max_seqlen_q=longest,
            max_seqlen_k=longest,
            causal=causal,
        )
        return o[None]

    fwd.__doc__ = f"{flash.module}.flash_attn_func; flash_attn_varlen_func for varlen sequences."

    def prefill(q: Tensor, k: Tensor, v: Tensor, *, group: int = 1) -> tuple[Tensor, State]:
        caches = tuple(x.new_empty(x.shape[0], x.shape[1] + 1, *x.shape[2:]) for x in (k, v))
        for cache, x in zip(caches, (k, v), strict=True):
            cache[:, :-1] = x
        return fwd(q, k, v, group=group), caches

    def decode(q: Tensor, k: Tensor, v: Tensor, *, group: int = 1, state: State) -> tuple[Tensor, State]:
        del group
        keys, values = state
        o = import_module(flash.module).flash_attn_with_kvcache(
            q, keys, values, k=k, v=v, cache_seqlens=keys.shape[1] - 1, causal=True
        )
        return o, state

    return Form(fwd, prefill, decode, unsupported_reason=flash.unsupported_reason)


register("softmax", "flash-attn-2", flash_form(FLASH_2))
register("softmax", "flash-attn-3", flash_form(FLASH_3))


@implementation("softmax", "flex", layout="BHTD", unsupported_reason=flex.unsupported_reason)
def flexible(
    q: Tensor, k: Tensor, v: Tensor, *, causal: bool = True, group: int = 1, varlen: int = 1
) -> Tensor:
    """PyTorch's flex_attention with a block mask; compiled once per shape."""
    mask = blocks(q.shape[2], causal, varlen, q.device) if causal or varlen > 1 else None
    return flex.compiled()(q, k, v, block_mask=mask, enable_gqa=group > 1)


@flexible.mode("prefill")
def prefill(q: Tensor, k: Tensor, v: Tensor, *, group: int = 1) -> tuple[Tensor, State]:
    """Return the output and a key/value cache with a slot for one more token."""
    o = flexible.functions["fwd"](q, k, v, group=group)
    return o, (new_cache(k, k.shape[2]), new_cache(v, v.shape[2]))


@flexible.mode("decode")
def decode(q: Tensor, k: Tensor, v: Tensor, *, group: int = 1, state: State) -> tuple[Tensor, State]:
    """Return the output of one token and the cache; the token sees the full cache, without a mask."""
    keys, values = state
    keys[:, :, -1:], values[:, :, -1:] = k, v
    return flex.compiled()(q, keys, values, enable_gqa=group > 1), state


@lru_cache(maxsize=1)
def blocks(tokens: int, causal: bool, sequences: int, device: torch.device) -> Any:
    """Return the block mask for T tokens: causal, for varlen sequences, or both."""
    import torch

    ids = sequence_ids(tokens, sequences, device)
    edges = starts(tokens, sequences, device, torch.int64)
    first = edges[ids]
    last = torch.arange(tokens, device=device) if causal else edges[ids + 1] - 1
    if sequences == 1:
        return flex.block_mask(first, last, flex.is_causal)

    def is_visible(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        same_sequence = ids[row] == ids[column]
        return same_sequence & flex.is_causal(batch, head, row, column) if causal else same_sequence

    return flex.block_mask(first, last, is_visible)
