"""chunk: products inside a chunk, sums of features and values between chunks, of every feature map."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.families.features import maps
from linbench_impls.families.features.maps import MAPS, Map
from linbench_impls.families.features.operator import features, map_flops
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.register import Form, State, register
from linbench_impls.toolkit.transition import SCALAR_CHUNK

if TYPE_CHECKING:
    from torch import Tensor


def chunked(phi: Map) -> Form:
    """Return the chunked form with a feature map."""

    def form(
        q: Tensor, k: Tensor, v: Tensor, *parameters: Tensor, state: State | None
    ) -> tuple[Tensor, State]:
        """Chunked form in torch: O(T) time and memory; in float32."""
        return maps.chunked(phi(q, *parameters), phi(k, *parameters), v, state)

    return form


def chunk_flops(case: Case, name: str) -> float:
    """Return the operations of the maps and of the chunked form, in the masked half of a chunk too."""
    return map_flops(name, case) + flops.chunked(case, features(case), case.V + 1, SCALAR_CHUNK)


def extra_bytes(case: Case) -> float:
    """Return the bytes of features, scores and states at chunk ends."""
    M = features(case)
    per_token = 6 * M + 4 * SCALAR_CHUNK + 3 * M * case.V / SCALAR_CHUNK + 3 * case.V
    width = max(4, case.item_bytes)
    return width * case.tokens * case.H * per_token * (2 if case.mode == "fwd_bwd" else 1)


for _name, _phi in MAPS.items():
    _flops = partial(chunk_flops, name=_name)
    register(_name, "chunk", chunked(_phi), layout="BHTD", flops=_flops, extra_bytes=extra_bytes)
