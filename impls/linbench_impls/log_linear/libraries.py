"""log_linear/fla-chunk: the kernels of flash-linear-attention, if installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case, implementation, needs
from linbench_impls.adapters import fla

if TYPE_CHECKING:
    from torch import Tensor

sizes = needs(multiple_of={"K": 64}, at_least={"T": 31}, at_most={"T": 2**17 - 1})


def unsupported_reason(case: Case) -> str | None:
    """Return why the kernels cannot take a case: they read the 7 weights of a chunk of 64 of every token."""
    reason = fla.chunk_unsupported_reason(case) or sizes(case)
    if reason is None and case.V & (case.V - 1):
        return f"takes V that is a power of two, not {case.V}"
    return reason


@implementation("log_linear", "fla-chunk", unsupported_reason=unsupported_reason)
def chunk(q: Tensor, k: Tensor, v: Tensor, g: Tensor, lam: Tensor) -> Tensor:
    """flash-linear-attention's chunk_log_linear_attn; its state has another form, so there is no prefill."""
    from fla.ops.log_linear_attn import chunk_log_linear_attn

    o: Tensor = chunk_log_linear_attn(q, k, v, g, lam, scale=q.shape[-1] ** -0.5)[0]
    return o
