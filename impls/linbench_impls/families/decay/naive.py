"""naive: the parallel form, quadratic in T, of every operator with decay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import implementation
from linbench_impls.families.decay import forms
from linbench_impls.families.decay.forms import OPERATORS, State

if TYPE_CHECKING:
    from torch import Tensor


def naive(q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State | None = None) -> Tensor:
    """Parallel form: (Q K^T * weights) V; quadratic in T."""
    return forms.parallel(q, k, v, forms.steps(g, q.shape[2]), state)


def prefill(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State | None = None
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    g = forms.steps(g, q.shape[2])
    return forms.parallel(q, k, v, g, state), forms.last_state(k, v, g, state)


def decode(q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State) -> tuple[Tensor, State]:
    """Return the output of one token and the state after it."""
    return forms.step(q, k, v, forms.steps(g, 1), state)


for _operator in OPERATORS:
    _made = implementation(
        _operator, "naive", layout="BHTD", flops=forms.quadratic_flops, extra_bytes=forms.score_bytes
    )(naive)
    _made.mode("prefill")(prefill)
    _made.mode("decode")(decode)
