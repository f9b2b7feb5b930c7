"""naive: the parallel form, quadratic in T, of every feature map."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.families.features.maps import MAPS, Map
from linbench_impls.families.features.operator import features, map_flops
from linbench_impls.linear.mathematics import last_state, parallel
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.register import Form, State, register

if TYPE_CHECKING:
    from torch import Tensor


def naive(phi: Map) -> Form:
    """Return the parallel form with a feature map."""

    def form(
        q: Tensor, k: Tensor, v: Tensor, *parameters: Tensor, state: State | None
    ) -> tuple[Tensor, State]:
        """Parallel form: tril(phi(Q) phi(K)^T) V, rows normalised; quadratic in T; in float32."""
        q, k = phi(q, *parameters), phi(k, *parameters)
        return parallel(q, k, v, True, state), last_state(k, v, state)

    return form


def quadratic_flops(case: Case, name: str) -> float:
    """Return the operations of the maps, of the full products and of the last state."""
    M = features(case)
    return map_flops(name, case) + flops.parallel(case, M, case.V) + flops.last_state(case, M, case.V)


def extra_bytes(case: Case) -> float:
    """Return the bytes of the T x T scores and of what is kept of them, and of features."""
    copies = 4 if case.mode == "fwd_bwd" else 2
    tokens = case.tokens // case.B
    return max(4, case.item_bytes) * case.tokens * case.H * (copies * tokens + 6 * features(case))


for _name, _phi in MAPS.items():
    _flops = partial(quadratic_flops, name=_name)
    register(_name, "naive", naive(_phi), layout="BHTD", flops=_flops, extra_bytes=extra_bytes)
