"""Form: a way to compute that is written apart from any operator, and how an operator is given one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from linbench import Case, implementation
from linbench.core.compiled import Compiled
from linbench.core.implementation import Function, Launches, Restriction
from linbench_impls.toolkit.dtype import accumulation_dtype

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]
Carried = Callable[..., tuple["Tensor", State]]
"""carried(*inputs, state) -> output, state after the last token; all in one dtype, in one layout."""


@dataclass(frozen=True)
class Form:
    """A way to compute: the function of each mode, what it takes and what it costs.

    Attributes:
        fwd: Returns the output; the first line of its docstring is the implementation's summary.
        prefill: Returns the output and the state after the last token, or is None.
        decode: Returns the output of one token and the state after it, or is None.
        layout: Order of the axes, as in `linbench.implementation`.
        differentiable: Whether autograd reaches the inputs.
        unsupported_reason: Says in one line why a case cannot be taken, or None.
        flops: Operations that a call does at a case; the operator's least if not given.
        extra_bytes: Bytes that it needs at a case beside inputs and outputs; 0 if not given.
        launches: Tells which kernels of its own it launched, as in `linbench.implementation`.
        compiled: Compiles its kernels, given the implementation's full name, a case and an architecture.
    """

    fwd: Function
    prefill: Function | None = None
    decode: Function | None = None
    layout: str = "BTHD"
    differentiable: bool = True
    unsupported_reason: Restriction | None = None
    flops: Callable[[Case], float] | None = None
    extra_bytes: Callable[[Case], float] | None = None
    launches: Launches | None = None
    compiled: Callable[[str, Case, str], list[Compiled]] | None = None


def register(operator: str, name: str, form: Form) -> None:
    """Register a form as an implementation of an operator; the file that says so is its origin."""
    full_name = f"{operator}/{name}"
    made = implementation(
        operator,
        name,
        layout=form.layout,
        differentiable=form.differentiable,
        unsupported_reason=form.unsupported_reason,
        flops=form.flops,
        extra_bytes=form.extra_bytes,
        launches=form.launches,
        compiled=partial(form.compiled, full_name) if form.compiled else None,
    )(form.fwd)
    made.origin = sys._getframe(1).f_globals.get("__file__", made.origin)
    for mode, function in (("prefill", form.prefill), ("decode", form.decode)):
        if function is not None:
            made.mode(mode)(function)


def exact(
    carried: Carried,
    *,
    layout: str,
    flops: Callable[[Case], float],
    extra_bytes: Callable[[Case], float],
) -> Form:
    """Return the form of one function, in fwd, prefill and decode, that computes in float32.

    It computes in float64 for float64, and keeps its state as it computes; the output is rounded to the dtype
    of the first input. The function's docstring is the form's.
    """

    def prefill(*tensors: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        dtype = accumulation_dtype(tensors[0])
        before = None if state is None else tuple(x.to(dtype) for x in state)
        o, after = carried(*(x.to(dtype) for x in tensors), state=before)
        return o.to(tensors[0].dtype), after

    def fwd(*tensors: Tensor, state: State | None = None) -> Tensor:
        return prefill(*tensors, state=state)[0]

    def decode(*tensors: Tensor, state: State) -> tuple[Tensor, State]:
        return prefill(*tensors, state=state)

    fwd.__doc__ = carried.__doc__
    return Form(fwd, prefill, decode, layout=layout, flops=flops, extra_bytes=extra_bytes)
