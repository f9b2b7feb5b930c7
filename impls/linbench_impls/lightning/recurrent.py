"""lightning/recurrent: the definition, one token at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import implementation
from linbench_impls.decay import forms as decay

if TYPE_CHECKING:
    from torch import Tensor


@implementation("lightning", "recurrent", layout="TBHD", flops=decay.step_flops, extra_bytes=decay.step_bytes)
def recurrent(
    q: Tensor, k: Tensor, v: Tensor, log_gamma: Tensor, *, state: decay.State | None = None
) -> Tensor:
    """Recurrent form: one step a token, the state in float32."""
    o, _ = prefill(q, k, v, log_gamma, state=state)
    return o


@recurrent.mode("prefill")
def prefill(
    q: Tensor, k: Tensor, v: Tensor, log_gamma: Tensor, *, state: decay.State | None = None
) -> tuple[Tensor, decay.State]:
    """Return the output and the state after the last token."""
    return decay.recurrent(q, k, v, decay.constant(log_gamma, q.shape[0]).permute(2, 0, 1), state)


@recurrent.mode("decode")
def decode(
    q: Tensor, k: Tensor, v: Tensor, log_gamma: Tensor, *, state: decay.State
) -> tuple[Tensor, decay.State]:
    """Return the output of one token and the state after it."""
    return prefill(q, k, v, log_gamma, state=state)
