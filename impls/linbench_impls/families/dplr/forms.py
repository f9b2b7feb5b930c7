"""The forms of a recurrence with a diagonal plus low-rank transition, for any parametrization."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.families.dplr.parametrization import Parametrization
from linbench_impls.toolkit import flops, transition
from linbench_impls.toolkit.register import Form, State, float32_form

if TYPE_CHECKING:
    from torch import Tensor


def in_chunks(
    parametrization: Parametrization, *tensors: Tensor, state: State | None
) -> tuple[Tensor, State]:
    """Return output and last state chunk by chunk, by the WY form if there is a low-rank part."""
    q, k, v, g, ab = parametrization.arguments(*tensors)
    before = None if state is None else state[0]
    if ab is None:
        o, S = transition.diagonal(q, k, v, g, before)
    else:
        o, S = transition.low_rank(q, k, v, g, *ab, before)
    return o, (S,)


def chunked(parametrization: Parametrization) -> Form:
    """Return the chunked form of a parametrization."""

    def compute(*tensors: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Chunked form in torch, with exponents of differences of gates; O(T) time and memory; in float32."""
        return in_chunks(parametrization, *tensors, state=state)

    size = transition.VECTOR_CHUNK if parametrization.gates == "key" else transition.SCALAR_CHUNK
    return float32_form(
        compute,
        layout="BHTD",
        flops=partial(flops.low_rank if parametrization.low_rank else diagonal_flops, size=size),
        extra_bytes=partial(extra_bytes, parametrization=parametrization, size=size),
    )


def recurrent(parametrization: Parametrization) -> Form:
    """Return the recurrent form of a parametrization."""

    def compute(*tensors: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Recurrent form in torch: one step per token; in float32."""
        q, k, v, g, ab = parametrization.arguments(*tensors)
        o, S = transition.recurrent(q, k, v, g, None if state is None else state[0], ab)
        return o, (S,)

    return float32_form(
        compute,
        layout="TBHD",
        flops=partial(step_flops, parametrization=parametrization),
        extra_bytes=transition.step_bytes,
    )


def diagonal_flops(case: Case, size: int) -> float:
    """Return the operations of the chunked form of a diagonal transition."""
    return flops.chunked(case, case.K, case.V, size)


def step_flops(case: Case, parametrization: Parametrization) -> float:
    """Return the operations of T steps, or of one in decode; a low-rank part adds a^T S and an update."""
    products = 4 if parametrization.low_rank else 2
    return flops.recurrent(case, case.K, case.V, products, gated=parametrization.gates is not None)


def extra_bytes(case: Case, parametrization: Parametrization, size: int) -> float:
    """Return the bytes that the chunked form needs in addition to inputs and outputs."""
    matrices = 4 if parametrization.low_rank else 1
    return transition.chunk_bytes(case, size, matrices, case.K if parametrization.gates == "key" else 1)
