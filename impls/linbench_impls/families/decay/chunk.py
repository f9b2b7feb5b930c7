"""chunk: weighted products inside a chunk, decayed states between chunks, of every operator with decay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import implementation
from linbench_impls.families.decay import forms
from linbench_impls.families.decay.forms import OPERATORS, State
from linbench_impls.toolkit.varlen import each

if TYPE_CHECKING:
    from torch import Tensor


def chunk(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, packed: int = 1, state: State | None = None
) -> Tensor:
    """Chunked form in torch: O(T) time and memory; states in float32; packed sequences one by one."""
    g = forms.steps(g, q.shape[2])
    return each(lambda q, k, v, g: forms.chunked(q, k, v, g, state)[0], (q, k, v, g), packed, axis=2)


def prefill(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State | None = None
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    return forms.chunked(q, k, v, forms.steps(g, q.shape[2]), state)


def decode(q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State) -> tuple[Tensor, State]:
    """Return the output of one token and the state after it."""
    return forms.step(q, k, v, forms.steps(g, 1), state)


for _operator in OPERATORS:
    _made = implementation(
        _operator, "chunk", layout="BHTD", flops=forms.chunk_flops, extra_bytes=forms.chunk_bytes
    )(chunk)
    _made.mode("prefill")(prefill)
    _made.mode("decode")(decode)
