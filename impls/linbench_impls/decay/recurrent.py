"""recurrent: the definition, one token at a time, of every operator with decay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import implementation
from linbench_impls.decay import forms
from linbench_impls.decay.forms import OPERATORS, State

if TYPE_CHECKING:
    from torch import Tensor


def recurrent(q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State | None = None) -> Tensor:
    """Recurrent form: one step a token, the state in float32."""
    return prefill(q, k, v, g, state=state)[0]


def prefill(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State | None = None
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    if g.dim() == 1:
        g = forms.steps(g, q.shape[0]).permute(2, 0, 1)  # [T, 1, H]
    return forms.recurrent(q, k, v, g, state)


def decode(q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State) -> tuple[Tensor, State]:
    """Return the output of one token and the state after it."""
    return prefill(q, k, v, g, state=state)


for _operator in OPERATORS:
    _made = implementation(
        _operator, "recurrent", layout="TBHD", flops=forms.step_flops, extra_bytes=forms.step_bytes
    )(recurrent)
    _made.mode("prefill")(prefill)
    _made.mode("decode")(decode)
