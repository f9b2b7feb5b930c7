"""linear/native: the C++ kernels of linbench_kernels for the CPU, compiled at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.linear.options import State, with_options, with_varlen
from linbench_impls.toolkit import native as kernels
from linbench_impls.toolkit.register import Form, register
from linbench_impls.toolkit.varlen import map_sequences, sum_flops

if TYPE_CHECKING:
    from torch import Tensor


@sum_flops
def flops(case: Case) -> float:
    """Return the operations of the kernels' products; only prefill computes the last state."""
    return kernels.flops(case, final=case.mode == "prefill")


def reciprocal_bytes(case: Case) -> float:
    """Return the bytes saved for backward: one number per row, and the outputs."""
    return 4 * case.tokens * case.H * (1 + case.V) if case.mode == "fwd_bwd" else 0


def native(
    q: Tensor, k: Tensor, v: Tensor, phi: str, normalize: bool, state: State | None, varlen: int
) -> Tensor:
    """Chunked C++ kernels for AVX-512, AVX2 or any CPU, fully fused, on torch's threads; float32."""
    from linbench_kernels.cpu.linear_attention import linear_attention

    def form(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return linear_attention(q, k, v, feature_map=phi, normalize=normalize, state=state)

    return map_sequences(form, (q, k, v), varlen, axis=1)


def prefill(
    q: Tensor, k: Tensor, v: Tensor, phi: str, normalize: bool, state: State | None
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    from linbench_kernels.cpu.linear_attention import linear_attention_prefill

    return linear_attention_prefill(q, k, v, feature_map=phi, normalize=normalize, state=state)


def decode(q: Tensor, k: Tensor, v: Tensor, phi: str, normalize: bool, state: State) -> tuple[Tensor, State]:
    """Return the output of one token and the state, updated in place in one pass."""
    from linbench_kernels.cpu.linear_attention import linear_attention_decode

    return linear_attention_decode(q, k, v, state, feature_map=phi, normalize=normalize, out=state)


register(
    "linear",
    "native",
    Form(
        with_varlen(native),
        with_options(prefill),
        with_options(decode),
        unsupported_reason=kernels.unsupported_reason,
        flops=flops,
        extra_bytes=reciprocal_bytes,
    ),
)
