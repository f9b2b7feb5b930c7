"""linear/triton: the chunked Triton kernels of linbench_kernels, forward and backward."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case, implementation, needs
from linbench_impls.toolkit.triton import by_triton
from linbench_impls.toolkit.varlen import cu_seqlens, flops_of_each

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", "Tensor"]

why_not = needs(
    device="cuda",
    modules=("triton",),
    dtypes=("float32", "float16", "bfloat16"),
    at_least={"K": 16, "V": 16},
    at_most={"K": 256, "V": 256},
    capability=(8, 0),
)


@flops_of_each
def flops(case: Case) -> float:
    """Return the operations of the kernels' products, as their tiles on this device have them."""
    import torch

    from linbench_kernels.triton.linear_attention_calls import attention_flops, decode_flops

    if case.mode == "decode":
        return decode_flops(case.B, case.H, case.K, case.V)
    sizes, dtype = (case.B, case.T, case.H, case.K, case.V), getattr(torch, case.dtype)
    return attention_flops(*sizes, dtype, gradient=case.mode == "fwd_bwd")


@implementation(
    "linear",
    "triton",
    why_not=why_not,
    flops=flops,
    compiled=by_triton("linear/triton", "linear_attention"),
)
def triton(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    feature_map: str = "elu1",
    normalize: bool = True,
    packed: int = 1,
    state: State | None = None,
) -> Tensor:
    """Chunked Triton kernels, forward and backward; feature map and normaliser fused."""
    from linbench_kernels.triton.linear_attention import linear_attention

    row = cu_seqlens(q, packed)
    return linear_attention(
        q, k, v, feature_map=feature_map, normalize=normalize, state=state, cu_seqlens=row
    )


@triton.mode("prefill")
def prefill(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    feature_map: str = "elu1",
    normalize: bool = True,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    from linbench_kernels.triton.linear_attention import linear_attention_prefill

    return linear_attention_prefill(q, k, v, feature_map=feature_map, normalize=normalize, state=state)


@triton.mode("decode")
def decode(
    q: Tensor, k: Tensor, v: Tensor, *, feature_map: str = "elu1", normalize: bool = True, state: State
) -> tuple[Tensor, State]:
    """Return the output of one token and the state, advanced in place by one kernel."""
    from linbench_kernels.triton.linear_attention import linear_attention_decode

    return linear_attention_decode(q, k, v, state, feature_map=feature_map, normalize=normalize)
