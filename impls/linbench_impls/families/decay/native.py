"""native: linear attention with decay by the C++ kernels of linbench_kernels for the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.toolkit import native as kernels
from linbench_impls.toolkit.register import Form, State
from linbench_impls.toolkit.varlen import each, flops_of_each

if TYPE_CHECKING:
    from torch import Tensor


@flops_of_each
def flops(case: Case) -> float:
    """Return the operations of the kernels' products; the last state is always made."""
    return kernels.flops(case, final=True)


def chunk(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, varlen: int = 1, state: State | None = None
) -> Tensor:
    """Chunked C++ kernels for AVX-512, AVX2 or any CPU, threads of torch; float32."""
    g = g.expand(q.shape[:3]) if varlen > 1 else g
    return each(lambda q, k, v, g: prefill(q, k, v, g, state=state)[0], (q, k, v, g), varlen, axis=1)


def prefill(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State | None = None
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    from linbench_kernels.cpu.linear_attention import linear_attention_prefill

    before = None if state is None else (state[0], _no_keys(state[0]))
    o, (S, _) = linear_attention_prefill(
        q * q.shape[-1] ** -0.5,
        k,
        v,
        feature_map="identity",
        normalize=False,
        log_decay=g,
        state=before,
    )
    return o, (S,)


def decode(q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State) -> tuple[Tensor, State]:
    """Return the output of one token and the state, advanced in place."""
    from linbench_kernels.cpu.linear_attention import linear_attention_decode

    both = (state[0], _no_keys(state[0]))
    o, _ = linear_attention_decode(
        q * q.shape[-1] ** -0.5,
        k,
        v,
        both,
        feature_map="identity",
        normalize=False,
        log_decay=g,
        out=both,
    )
    return o, state


def _no_keys(S: Tensor) -> Tensor:
    """Return a sum of keys, [B, H, K], that nothing is divided by."""
    return S.new_zeros(S.shape[:3])


native = Form(chunk, prefill, decode, unsupported_reason=kernels.unsupported_reason, flops=flops)
