"""recurrent: the definition, one token at a time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.families.dplr.rules import RULES, Rule
from linbench_impls.toolkit import flops, transition
from linbench_impls.toolkit.register import Form, State, register

if TYPE_CHECKING:
    from torch import Tensor


def recurrent(rule: Rule) -> Form:
    """Return the recurrent form of an operator's rule."""

    def form(*tensors: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Recurrent form: one step a token; in float32."""
        q, k, v, g, ab = rule(*tensors)
        o, S = transition.recurrent(q, k, v, g, None if state is None else state[0], ab)
        return o, (S,)

    return form


def step_flops(case: Case, name: str) -> float:
    """Return the operations of T steps, of one in decode; a low rank adds a^T S and an update."""
    return flops.recurrent(case, case.K, case.V, 2 if name == "gla" else 4, gated=name != "delta")


for _name, _rule in RULES.items():
    register(
        _name,
        "recurrent",
        recurrent(_rule),
        layout="TBHD",
        flops=partial(step_flops, name=_name),
        extra_bytes=transition.step_bytes,
    )
