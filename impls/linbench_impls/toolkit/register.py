"""register: from one function that takes a state and returns one, an implementation with all its modes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from linbench import Case, implementation
from linbench.core.implementation import Implementation, WhyNot

if TYPE_CHECKING:
    import torch
    from torch import Tensor

State = tuple["Tensor", ...]
Form = Callable[..., tuple["Tensor", State]]
"""form(*inputs, state) -> output, state after the last token; all in one dtype, in one layout."""


def exact_dtype(x: Tensor) -> torch.dtype:
    """Return the type in which a form computes: float32, or float64 for float64 inputs."""
    import torch

    return torch.promote_types(x.dtype, torch.float32)


def register(
    operator: str,
    name: str,
    form: Form,
    *,
    layout: str,
    flops: Callable[[Case], float],
    extra_bytes: Callable[[Case], float],
    why_not: WhyNot | None = None,
) -> Implementation:
    """Return the implementation of an operator by a form, with fwd, prefill and decode.

    The form computes in float32 (float64 for float64) and keeps its state so; the output is rounded to the
    dtype of the first input. Its docstring is the implementation's.
    """

    def prefill(*tensors: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        exact = exact_dtype(tensors[0])
        before = None if state is None else tuple(x.to(exact) for x in state)
        o, after = form(*(x.to(exact) for x in tensors), state=before)
        return o.to(tensors[0].dtype), after

    def fwd(*tensors: Tensor, state: State | None = None) -> Tensor:
        return prefill(*tensors, state=state)[0]

    def decode(*tensors: Tensor, state: State) -> tuple[Tensor, State]:
        return prefill(*tensors, state=state)

    fwd.__doc__ = form.__doc__
    made = implementation(
        operator, name, layout=layout, why_not=why_not, flops=flops, extra_bytes=extra_bytes
    )(fwd)
    made.mode("prefill")(prefill)
    made.mode("decode")(decode)
    return made
