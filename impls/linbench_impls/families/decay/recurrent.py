"""recurrent: the definition, one token at a time, of every operator with decay."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from linbench import implementation
from linbench_impls.families.decay import forms
from linbench_impls.families.decay.forms import OPERATORS, State
from linbench_impls.toolkit.varlen import each, flops_of_each

if TYPE_CHECKING:
    from torch import Tensor


def recurrent(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, packed: int = 1, state: State | None = None
) -> Tensor:
    """Recurrent form: one step a token, the state in float32; packed sequences one by one."""
    tensors = (q, k, v, by_step(g, q))
    return each(lambda q, k, v, g: forms.recurrent(q, k, v, g, state)[0], tensors, packed, axis=0)


def prefill(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State | None = None
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    return forms.recurrent(q, k, v, by_step(g, q), state)


def decode(q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State) -> tuple[Tensor, State]:
    """Return the output of one token and the state after it."""
    return prefill(q, k, v, g, state=state)


def by_step(g: Tensor, q: Tensor) -> Tensor:
    """Return the log-decay of every step, [T, B or 1, H]: g itself, or a view of a constant one, [H]."""
    return forms.steps(g, q.shape[0]).permute(2, 0, 1) if g.dim() == 1 else g


for _operator in OPERATORS:
    _flops = flops_of_each(partial(forms.step_flops, gated=_operator == "simple_gla"))
    _made = implementation(_operator, "recurrent", layout="TBHD", flops=_flops, extra_bytes=forms.step_bytes)(
        recurrent
    )
    _made.mode("prefill")(prefill)
    _made.mode("decode")(decode)
