"""native: linear attention with decay, computed by the C++ kernels of linbench_kernels for the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.toolkit import native as kernels
from linbench_impls.toolkit.register import Form, State
from linbench_impls.toolkit.varlen import map_sequences, sum_flops

if TYPE_CHECKING:
    from torch import Tensor


@sum_flops
def flops(case: Case) -> float:
    """Return the operations of the kernels' products, which always include the last state."""
    return kernels.flops(case, final=True)


def chunk(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, varlen: int = 1, state: State | None = None
) -> Tensor:
    """Chunked C++ kernels for AVX-512, AVX2 or any CPU, on torch's threads; float32."""
    g = g.expand(q.shape[:3]) if varlen > 1 else g
    return map_sequences(lambda q, k, v, g: prefill(q, k, v, g, state=state)[0], (q, k, v, g), varlen, axis=1)


def prefill(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State | None = None
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    from linbench_kernels.cpu.linear_attention import linear_attention_prefill

    initial = None if state is None else (state[0], _zero_key_sum(state[0]))
    o, (S, _) = linear_attention_prefill(
        q * q.shape[-1] ** -0.5,
        k,
        v,
        feature_map="identity",
        normalize=False,
        log_decay=g,
        state=initial,
    )
    return o, (S,)


def decode(q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State) -> tuple[Tensor, State]:
    """Return the output of one token and the state, updated in place."""
    from linbench_kernels.cpu.linear_attention import linear_attention_decode

    padded_state = (state[0], _zero_key_sum(state[0]))
    o, _ = linear_attention_decode(
        q * q.shape[-1] ** -0.5,
        k,
        v,
        padded_state,
        feature_map="identity",
        normalize=False,
        log_decay=g,
        out=padded_state,
    )
    return o, state


def _zero_key_sum(S: Tensor) -> Tensor:
    """Return an unused sum of keys, [B, H, K], for the kernel's normaliser."""
    return S.new_zeros(S.shape[:3])


native = Form(chunk, prefill, decode, unsupported_reason=kernels.unsupported_reason, flops=flops)
