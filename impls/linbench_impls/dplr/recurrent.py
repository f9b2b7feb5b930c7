"""recurrent: the definition, one token at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.dplr.rules import RULES, Rule
from linbench_impls.forms import dplr
from linbench_impls.forms.register import Form, State, register

if TYPE_CHECKING:
    from torch import Tensor


def recurrent(rule: Rule) -> Form:
    """Return the recurrent form of an operator's rule."""

    def form(*tensors: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Recurrent form: one step a token; in float32."""
        q, k, v, g, ab = rule(*tensors)
        o, S = dplr.recurrent(q, k, v, g, None if state is None else state[0], ab)
        return o, (S,)

    return form


def diagonal_flops(case: Case) -> float:
    """Return the operations of T steps, of one in decode."""
    return 4 * case.tokens * case.H * case.K * case.V


def low_rank_flops(case: Case) -> float:
    """Return the operations of T steps, the product a^T S and its addition among them."""
    return 8 * case.tokens * case.H * case.K * case.V


for _name, _rule in RULES.items():
    register(
        _name,
        "recurrent",
        recurrent(_rule),
        layout="TBHD",
        flops=diagonal_flops if _name == "gla" else low_rank_flops,
        extra_bytes=dplr.step_bytes,
    )
