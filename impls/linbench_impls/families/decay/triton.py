"""triton: linear attention with decay, computed by the chunked Triton kernels of linbench_kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.toolkit import triton as kernels
from linbench_impls.toolkit.register import Form, State
from linbench_impls.toolkit.varlen import cu_seqlens, sum_flops

if TYPE_CHECKING:
    from torch import Tensor


def chunk(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, varlen: int = 1, state: State | None = None
) -> Tensor:
    """Chunked Triton kernels for forward and backward; the state in registers."""
    from linbench_kernels.triton.decayed_attention import decayed_attention

    initial = None if state is None else state[0]
    return decayed_attention(q, k, v, g, state=initial, cu_seqlens=cu_seqlens(q, varlen))


def prefill(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State | None = None
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    from linbench_kernels.triton.decayed_attention import decayed_attention_prefill

    o, S = decayed_attention_prefill(q, k, v, g, state=None if state is None else state[0])
    return o, (S,)


def decode(q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State) -> tuple[Tensor, State]:
    """Return the output of one token and the state, updated in place by one kernel."""
    from linbench_kernels.triton.decayed_attention import decayed_attention_decode

    o, S = decayed_attention_decode(q, k, v, g, state[0])
    return o, (S,)


def triton(gated: bool) -> Form:
    """Return the form of the Triton kernels.

    Args:
        gated: Whether decays are inputs with a gradient, which the kernels then compute.
    """

    @sum_flops
    def flops(case: Case) -> float:
        """Return the operations of the kernels' products, with their tiles on this device."""
        import torch

        from linbench_kernels.triton.decayed_attention_calls import attention_flops, decode_flops

        if case.mode == "decode":
            return decode_flops(case.B, case.H, case.K, case.V)
        return attention_flops(
            *(case.B, case.T, case.H, case.K, case.V),
            getattr(torch, case.dtype),
            gradient=case.mode == "fwd_bwd",
            decay_gradient=gated,
        )

    compiled = kernels.kernel_compiler("decayed_attention")
    return Form(
        chunk, prefill, decode, unsupported_reason=kernels.unsupported_reason, flops=flops, compiled=compiled
    )
