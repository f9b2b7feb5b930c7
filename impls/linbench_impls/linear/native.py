"""linear/native: the C++ kernels of linbench_kernels for the CPU, compiled at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case, implementation, needs
from linbench_impls.toolkit.varlen import each, flops_of_each

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", "Tensor"]

base_needs = needs(device="cpu", dtypes=("float32",))


def why_not(case: Case) -> str | None:
    """Return why the kernels cannot take a case: its device or dtype, or no compiler."""
    reason = base_needs(case)
    if reason is not None:
        return reason
    from linbench_kernels.cpu.compile import why_not as compiler_why_not

    return compiler_why_not()


@flops_of_each
def flops(case: Case) -> float:
    """Return the operations of the kernels' products, as this CPU's vectors and threads cut them up."""
    from linbench_kernels.cpu.work import attention_flops, decode_flops

    if case.mode == "decode":
        return decode_flops(case.B, case.H, case.K, case.V)
    final, gradient = case.mode == "prefill", case.mode == "fwd_bwd"
    return attention_flops(case.B, case.T, case.H, case.K, case.V, final=final, gradient=gradient)


def reciprocal_bytes(case: Case) -> float:
    """Return the bytes of one number a row that backward keeps, and of the outputs that it reads again."""
    return 4 * case.tokens * case.H * (1 + case.V) if case.mode == "fwd_bwd" else 0


@implementation("linear", "native", why_not=why_not, flops=flops, extra_bytes=reciprocal_bytes)
def native(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    feature_map: str = "elu1",
    normalize: bool = True,
    packed: int = 1,
    state: State | None = None,
) -> Tensor:
    """Chunked C++ kernels for AVX-512, AVX2 or any CPU, threads of torch; all fused, float32."""
    from linbench_kernels.cpu.linear_attention import linear_attention

    def form(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return linear_attention(q, k, v, feature_map=feature_map, normalize=normalize, state=state)

    return each(form, (q, k, v), packed, axis=1)


@native.mode("prefill")
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
    from linbench_kernels.cpu.linear_attention import linear_attention_prefill

    return linear_attention_prefill(q, k, v, feature_map=feature_map, normalize=normalize, state=state)


@native.mode("decode")
def decode(
    q: Tensor, k: Tensor, v: Tensor, *, feature_map: str = "elu1", normalize: bool = True, state: State
) -> tuple[Tensor, State]:
    """Return the output of one token and the state, advanced in place in one walk over it."""
    from linbench_kernels.cpu.linear_attention import linear_attention_decode

    return linear_attention_decode(q, k, v, state, feature_map=feature_map, normalize=normalize, out=state)
