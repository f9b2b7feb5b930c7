"""linear/triton: the chunked Triton kernels of linbench_kernels for forward and backward."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.linear.options import State, with_options, with_varlen
from linbench_impls.toolkit import triton as kernels
from linbench_impls.toolkit.register import Form, register
from linbench_impls.toolkit.varlen import cu_seqlens, sum_flops

if TYPE_CHECKING:
    from torch import Tensor


@sum_flops
def flops(case: Case) -> float:
    """Return the operations of the kernels' products, with their tiles on this device."""
    import torch

    from linbench_kernels.triton.linear_attention_calls import attention_flops, decode_flops

    if case.mode == "decode":
        return decode_flops(case.B, case.H, case.K, case.V)
    sizes, dtype = (case.B, case.T, case.H, case.K, case.V), getattr(torch, case.dtype)
    return attention_flops(*sizes, dtype, gradient=case.mode == "fwd_bwd")


def triton(
    q: Tensor, k: Tensor, v: Tensor, phi: str, normalize: bool, state: State | None, varlen: int
) -> Tensor:
    """Chunked Triton kernels for forward and backward, with feature map and normaliser fused."""
    from linbench_kernels.triton.linear_attention import linear_attention

    edges = cu_seqlens(q, varlen)
    return linear_attention(q, k, v, feature_map=phi, normalize=normalize, state=state, cu_seqlens=edges)


def prefill(
    q: Tensor, k: Tensor, v: Tensor, phi: str, normalize: bool, state: State | None
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    from linbench_kernels.triton.linear_attention import linear_attention_prefill

    return linear_attention_prefill(q, k, v, feature_map=phi, normalize=normalize, state=state)


def decode(q: Tensor, k: Tensor, v: Tensor, phi: str, normalize: bool, state: State) -> tuple[Tensor, State]:
    """Return the output of one token and the state, updated in place by one kernel."""
    from linbench_kernels.triton.linear_attention import linear_attention_decode

    return linear_attention_decode(q, k, v, state, feature_map=phi, normalize=normalize)


register(
    "linear",
    "triton",
    Form(
        with_varlen(triton),
        with_options(prefill),
        with_options(decode),
        unsupported_reason=kernels.unsupported_reason,
        flops=flops,
        compiled=kernels.kernel_compiler("linear_attention"),
    ),
)
