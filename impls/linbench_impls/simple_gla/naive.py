"""simple_gla/naive: the parallel form, quadratic in T."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import implementation
from linbench_impls.decay import forms as decay

if TYPE_CHECKING:
    from torch import Tensor


@implementation(
    "simple_gla", "naive", layout="BHTD", flops=decay.quadratic_flops, extra_bytes=decay.score_bytes
)
def naive(q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: decay.State | None = None) -> Tensor:
    """Parallel form: (Q K^T * weights) V; quadratic in T."""
    return decay.parallel(q, k, v, g, state)


@naive.mode("prefill")
def prefill(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: decay.State | None = None
) -> tuple[Tensor, decay.State]:
    """Return the output and the state after the last token."""
    return decay.parallel(q, k, v, g, state), decay.last_state(k, v, g, state)


@naive.mode("decode")
def decode(q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: decay.State) -> tuple[Tensor, decay.State]:
    """Return the output of one token and the state after it."""
    return decay.step(q, k, v, g, state)
