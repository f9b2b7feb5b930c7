"""chunk: products inside a chunk, states between chunks, by the WY form where there is a low-rank part."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.families.dplr.rules import RULES, VECTOR_GATES, Rule
from linbench_impls.toolkit import flops, transition
from linbench_impls.toolkit.register import Form, State, register

if TYPE_CHECKING:
    from torch import Tensor


def chunked(rule: Rule) -> Form:
    """Return the chunked form of an operator's rule."""

    def form(*tensors: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Chunked form in torch: O(T) time and memory, weights as exponents of differences; in float32."""
        q, k, v, g, ab = rule(*tensors)
        before = None if state is None else state[0]
        if ab is None:
            o, S = transition.diagonal(q, k, v, g, before)
        else:
            o, S = transition.low_rank(q, k, v, g, *ab, before)
        return o, (S,)

    return form


def diagonal_flops(case: Case, size: int) -> float:
    """Return the operations of the chunked form where the transition is diagonal."""
    return flops.chunked(case, case.K, case.V, size)


def extra_bytes(case: Case, size: int, matrices: int) -> float:
    """Return what the chunked form needs beside inputs and outputs."""
    return transition.chunk_bytes(case, size, matrices, case.K if size == transition.VECTOR_CHUNK else 1)


for _name, _rule in RULES.items():
    _size = transition.VECTOR_CHUNK if _name in VECTOR_GATES else transition.SCALAR_CHUNK
    _diagonal = _name == "gla"
    register(
        _name,
        "chunk",
        chunked(_rule),
        layout="BHTD",
        flops=partial(diagonal_flops if _diagonal else flops.low_rank, size=_size),
        extra_bytes=partial(extra_bytes, size=_size, matrices=1 if _diagonal else 4),
    )
