"""recurrent: the definition, one token at a time, of every feature map."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.families.features import maps
from linbench_impls.families.features.maps import MAPS, Map
from linbench_impls.families.features.operator import features, map_flops
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.register import Form, State, register

if TYPE_CHECKING:
    from torch import Tensor


def recurrent(phi: Map) -> Form:
    """Return the recurrent form with a feature map."""

    def form(
        q: Tensor, k: Tensor, v: Tensor, *parameters: Tensor, state: State | None
    ) -> tuple[Tensor, State]:
        """Recurrent form: one step a token; in float32."""
        return maps.recurrent(phi(q, *parameters), phi(k, *parameters), v, state)

    return form


def step_flops(case: Case, name: str) -> float:
    """Return the operations of the maps and of T steps, of one in decode."""
    return map_flops(name, case) + flops.recurrent(case, features(case), case.V + 1)


def extra_bytes(case: Case) -> float:
    """Return the bytes of features, and of the states that backward keeps, four a token."""
    M = features(case)
    kept = 4 * M * case.V if case.mode == "fwd_bwd" else 0
    return max(4, case.item_bytes) * case.tokens * case.H * (6 * M + 3 * case.V + kept)


for _name, _phi in MAPS.items():
    _flops = partial(step_flops, name=_name)
    register(_name, "recurrent", recurrent(_phi), layout="BHTD", flops=_flops, extra_bytes=extra_bytes)
