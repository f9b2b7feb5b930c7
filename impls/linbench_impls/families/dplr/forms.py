"""The forms of a recurrence whose transition is diagonal plus low rank, for any rule."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.families.dplr.parametrization import Parametrization
from linbench_impls.toolkit import flops, transition
from linbench_impls.toolkit.register import Form, State, exact

if TYPE_CHECKING:
    from torch import Tensor


def in_chunks(
    parametrization: Parametrization, *tensors: Tensor, state: State | None
) -> tuple[Tensor, State]:
    """Return output and last state chunk after chunk, by the WY form where there is a low-rank part."""
    q, k, v, g, ab = parametrization.arguments(*tensors)
    before = None if state is None else state[0]
    if ab is None:
        o, S = transition.diagonal(q, k, v, g, before)
    else:
        o, S = transition.low_rank(q, k, v, g, *ab, before)
    return o, (S,)


def chunked(parametrization: Parametrization) -> Form:
    """Return the chunked form of a rule."""

    def carried(*tensors: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Chunked form in torch: O(T) time and memory, weights as exponents of differences; in float32."""
        return in_chunks(parametrization, *tensors, state=state)

    size = transition.VECTOR_CHUNK if parametrization.gates == "key" else transition.SCALAR_CHUNK
    return exact(
        carried,
        layout="BHTD",
        flops=partial(flops.low_rank if parametrization.low_rank else diagonal_flops, size=size),
        extra_bytes=partial(extra_bytes, parametrization=parametrization, size=size),
    )


def recurrent(parametrization: Parametrization) -> Form:
    """Return the recurrent form of a rule."""

    def carried(*tensors: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Recurrent form: one step a token; in float32."""
        q, k, v, g, ab = parametrization.arguments(*tensors)
        o, S = transition.recurrent(q, k, v, g, None if state is None else state[0], ab)
        return o, (S,)

    return exact(
        carried,
        layout="TBHD",
        flops=partial(step_flops, parametrization=parametrization),
        extra_bytes=transition.step_bytes,
    )


def diagonal_flops(case: Case, size: int) -> float:
    """Return the operations of the chunked form where the transition is diagonal."""
    return flops.chunked(case, case.K, case.V, size)


def step_flops(case: Case, parametrization: Parametrization) -> float:
    """Return the operations of T steps, of one in decode; a low rank adds a^T S and an update."""
    products = 4 if parametrization.low_rank else 2
    return flops.recurrent(case, case.K, case.V, products, gated=parametrization.gates is not None)


def extra_bytes(case: Case, parametrization: Parametrization, size: int) -> float:
    """Return what the chunked form needs beside inputs and outputs."""
    matrices = 4 if parametrization.low_rank else 1
    return transition.chunk_bytes(case, size, matrices, case.K if parametrization.gates == "key" else 1)
