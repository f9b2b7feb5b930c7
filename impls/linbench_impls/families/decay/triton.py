"""triton: the chunked Triton kernels with decay of linbench_kernels, of every operator with decay."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from linbench import Case, implementation, needs
from linbench_impls.families.decay.forms import OPERATORS, State
from linbench_impls.toolkit.triton import by_triton
from linbench_impls.toolkit.varlen import cu_seqlens, flops_of_each

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


def flops_of(operator: str) -> Callable[[Case], float]:
    """Return what gives the operations of the kernels' products, as their tiles on this device have them."""

    @flops_of_each
    def flops(case: Case) -> float:
        import torch

        from linbench_kernels.triton.decayed_attention_calls import attention_flops, decode_flops

        if case.mode == "decode":
            return decode_flops(case.B, case.H, case.K, case.V)
        return attention_flops(
            *(case.B, case.T, case.H, case.K, case.V),
            getattr(torch, case.dtype),
            gradient=case.mode == "fwd_bwd",
            decay_gradient=operator == "simple_gla",  # the others' decays are constants
        )

    return flops


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
    _made = implementation(
        _operator, "triton", why_not=why_not, flops=flops_of(_operator), compiled=_compiled
    )(triton)
    _made.mode("prefill")(prefill)
    _made.mode("decode")(decode)
