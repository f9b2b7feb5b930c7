"""retention/native: the C++ kernels of linbench_kernels for the CPU, compiled at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import implementation
from linbench_impls.decay import cpu

if TYPE_CHECKING:
    from torch import Tensor


@implementation("retention", "native", why_not=cpu.why_not, flops=cpu.chunk_flops)
def native(q: Tensor, k: Tensor, v: Tensor, log_gamma: Tensor, *, state: cpu.State | None = None) -> Tensor:
    """Chunked C++ kernels for AVX-512, AVX2 or any CPU, threads of torch; float32."""
    return cpu.attend(q, k, v, log_gamma, state)[0]


@native.mode("prefill")
def prefill(
    q: Tensor, k: Tensor, v: Tensor, log_gamma: Tensor, *, state: cpu.State | None = None
) -> tuple[Tensor, cpu.State]:
    """Return the output and the state after the last token."""
    return cpu.attend(q, k, v, log_gamma, state)


@native.mode("decode")
def decode(
    q: Tensor, k: Tensor, v: Tensor, log_gamma: Tensor, *, state: cpu.State
) -> tuple[Tensor, cpu.State]:
    """Return the output of one token and the state, advanced in place."""
    return cpu.step(q, k, v, log_gamma, state)
