"""log_linear/fla-chunk: the kernels of flash-linear-attention, if installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case, implementation, needs
from linbench_impls.adapters import fla

if TYPE_CHECKING:
    from torch import Tensor

sizes = needs(multiple_of={"K": 64}, at_least={"T": 31}, at_most={"T": 2**17 - 1})


def unsupported_reason(case: Case) -> str | None:
    """Return why the kernels do not support a case: they read 7 weights per token, for a chunk of 64."""
    reason = fla.chunk_unsupported_reason(case) or sizes(case)
    if reason is None and case.V & (case.V - 1):
        return f"supports V = 2^n, not {case.V}"
    return reason


@implementation("log_linear", "fla-chunk", unsupported_reason=unsupported_reason)
def chunk(q: Tensor, k: Tensor, v: Tensor, g: Tensor, lam: Tensor) -> Tensor:
    """flash-linear-attention's chunk_log_linear_attn; no prefill, as its state has a different format."""
    from fla.ops.log_linear_attn import chunk_log_linear_attn

    o: Tensor = chunk_log_linear_attn(q, k, v, g, lam, scale=q.shape[-1] ** -0.5)[0]
    return o
