"""triton: the chunked Triton kernels with decay of linbench_kernels, of every operator with decay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import implementation, needs
from linbench_impls.compiled import by_triton
from linbench_impls.decay.forms import OPERATORS, State
from linbench_impls.forms.packed import cu_seqlens

if TYPE_CHECKING:
    from torch import Tensor

why_not = needs(
    device="cuda",
    modules=("triton",),
    dtypes=("float32", "float16", "bfloat16"),
    at_least={"K": 16, "V": 16},
    at_most={"K": 256, "V": 256},
    capability=(8, 0),
)


def triton(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, packed: int = 1, state: State | None = None
) -> Tensor:
    """Chunked Triton kernels, forward and backward; the state in registers."""
    from linbench_kernels.triton.decayed_attention import decayed_attention

    before = None if state is None else state[0]
    return decayed_attention(q, k, v, g, state=before, cu_seqlens=cu_seqlens(q, packed))


def prefill(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State | None = None
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    from linbench_kernels.triton.decayed_attention import decayed_attention_prefill

    o, S = decayed_attention_prefill(q, k, v, g, state=None if state is None else state[0])
    return o, (S,)


def decode(q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State) -> tuple[Tensor, State]:
    """Return the output of one token and the state, advanced in place by one kernel."""
    from linbench_kernels.triton.decayed_attention import decayed_attention_decode

    o, S = decayed_attention_decode(q, k, v, g, state[0])
    return o, (S,)


for _operator in OPERATORS:
    _compiled = by_triton(f"{_operator}/triton", "decayed_attention")
    _made = implementation(_operator, "triton", why_not=why_not, compiled=_compiled)(triton)
    _made.mode("prefill")(prefill)
    _made.mode("decode")(decode)
