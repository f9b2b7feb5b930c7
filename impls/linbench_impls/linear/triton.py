"""linear/triton: the chunked Triton kernels of linbench_kernels, forward and backward."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import implementation, needs
from linbench_impls.compiled import by_triton
from linbench_impls.forms.packed import cu_seqlens

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


@implementation("linear", "triton", why_not=why_not, compiled=by_triton("linear/triton", "linear_attention"))
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
