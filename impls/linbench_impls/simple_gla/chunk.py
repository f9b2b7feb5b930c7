"""simple_gla/chunk: weighted products inside a chunk, decayed states between chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import implementation
from linbench_impls.decay import forms as decay

if TYPE_CHECKING:
    from torch import Tensor


@implementation("simple_gla", "chunk", layout="BHTD", flops=decay.chunk_flops, extra_bytes=decay.chunk_bytes)
def chunk(q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: decay.State | None = None) -> Tensor:
    """Chunked form in torch: O(T) time and memory; states in float32."""
    o, _ = prefill(q, k, v, g, state=state)
    return o


@chunk.mode("prefill")
def prefill(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: decay.State | None = None
) -> tuple[Tensor, decay.State]:
    """Return the output and the state after the last token."""
    return decay.chunked(q, k, v, g, state)


@chunk.mode("decode")
def decode(q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: decay.State) -> tuple[Tensor, decay.State]:
    """Return the output of one token and the state after it."""
    return decay.step(q, k, v, g, state)
