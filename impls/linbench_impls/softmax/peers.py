"""softmax/flash-attn-2 and flash-attn-3, if installed, and flex: torch's flex_attention."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import cache, lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from linbench import Case, implementation, needs
from linbench_impls import flash

if TYPE_CHECKING:
    import torch
    from torch import Tensor

State = tuple["Tensor", ...]
HALF = ("float16", "bfloat16")
FLEX_BLOCK = 128
FLEX_SHAPES = 4096


def register_flash(name: str, module: str, capability: tuple[int, int]) -> None:
    """Register a flash-attn by its module, with its prefill and decode; its scale is K^-1/2."""

    def fwd(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = True, group: int = 1) -> Tensor:
        del group  # it takes k with a head for several of q
        o: Tensor = import_module(module).flash_attn_func(q, k, v, causal=causal)
        return o

    fwd.__doc__ = f"{module}.flash_attn_func."
    made = implementation("softmax", name, why_not=flash.why_not_of(module, capability))(fwd)

    @made.mode("prefill")
    def prefill(q: Tensor, k: Tensor, v: Tensor, *, group: int = 1) -> tuple[Tensor, State]:
        caches = tuple(x.new_empty(x.shape[0], x.shape[1] + 1, *x.shape[2:]) for x in (k, v))
        for room, x in zip(caches, (k, v), strict=True):
            room[:, :-1] = x
        return fwd(q, k, v, group=group), caches

    @made.mode("decode")
    def decode(q: Tensor, k: Tensor, v: Tensor, *, group: int = 1, state: State) -> tuple[Tensor, State]:
        del group
        keys, values = state
        o = import_module(module).flash_attn_with_kvcache(
            q, keys, values, k=k, v=v, cache_seqlens=keys.shape[1] - 1, causal=True
        )
        return o, state


for _name, _library in flash.LIBRARIES.items():
    register_flash(_name, *_library)

cuda_flex_needs = needs(
    modules=("triton",), dtypes=("float32", *HALF), at_least={"K": 16, "V": 16}, capability=(8, 0)
)


def flex_why_not(case: Case) -> str | None:
    """Return why torch's flex_attention cannot take a case: on the CPU it has no backward."""
    if case.device == "cuda":
        return cuda_flex_needs(case)
    if case.mode == "fwd_bwd":
        return "torch's flex_attention has no backward on the CPU"
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        return f"needs a C++ compiler, and {compiler} is not there; install it or set CXX"
    return needs(dtypes=("float32", *HALF))(case)


@implementation("softmax", "flex", layout="BHTD", why_not=flex_why_not)
def flex(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = True, group: int = 1) -> Tensor:
    """flex_attention of torch, compiled for each shape, its causal block mask made once a shape."""
    seen = causal_blocks(q.shape[2], q.device) if causal else None
    return compiled_flex()(q, k, v, block_mask=seen, enable_gqa=group > 1)


@flex.mode("prefill")
def prefill(q: Tensor, k: Tensor, v: Tensor, *, group: int = 1) -> tuple[Tensor, State]:
    """Return the output and a cache of keys and values with room for one more token."""
    caches = tuple(x.new_empty(*x.shape[:2], x.shape[2] + 1, x.shape[3]) for x in (k, v))
    for room, x in zip(caches, (k, v), strict=True):
        room[:, :, :-1] = x
    return flex.functions["fwd"](q, k, v, group=group), caches


@flex.mode("decode")
def decode(q: Tensor, k: Tensor, v: Tensor, *, group: int = 1, state: State) -> tuple[Tensor, State]:
    """Return the output of one token, which sees the whole cache, so that no mask is needed."""
    keys, values = state
    keys[:, :, -1:], values[:, :, -1:] = k, v
    return compiled_flex()(q, keys, values, enable_gqa=group > 1), state


@cache
def compiled_flex() -> Callable[..., Tensor]:
    """Return flex_attention compiled for every shape by itself, and never run uncompiled.

    Past torch's limit, 8 shapes in a process, a call would fail.
    """
    import torch
    import torch._dynamo
    from torch.nn.attention.flex_attention import flex_attention

    torch._dynamo.config.recompile_limit = FLEX_SHAPES
    return torch.compile(flex_attention, dynamic=False, fullgraph=True)


@lru_cache(maxsize=1)
def causal_blocks(tokens: int, device: torch.device) -> Any:
    """Return the causal block mask of T tokens.

    It is made from its blocks, since create_block_mask would make the T x T mask first.
    """
    import torch
    from torch.nn.attention.flex_attention import BlockMask

    at = torch.arange(-(-tokens // FLEX_BLOCK), dtype=torch.int32, device=device)
    masked, whole = torch.ones_like(at), at.clone()  # how many in each row of blocks: the diagonal, before it
    if tokens % FLEX_BLOCK:  # torch takes no block as whole in a row of blocks that is cut off
        masked[-1], whole[-1] = len(at), 0
    from_diagonal = ((at[:, None] + at) % len(at)).to(torch.int32)
    return BlockMask.from_kv_blocks(
        masked[None, None],
        from_diagonal[None, None],
        whole[None, None],
        at.expand(len(at), -1).contiguous()[None, None],
        BLOCK_SIZE=FLEX_BLOCK,
        mask_mod=is_causal,
        seq_lengths=(tokens, tokens),
    )


def is_causal(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return whether a row may see a column."""
    del batch, head
    return row >= column
