"""Form: a way to compute, independent of any operator, and its registration for an operator."""

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
StatefulFunction = Callable[..., tuple["Tensor", State]]
"""compute(*inputs, state) -> output, state after the last token; all in one dtype and one layout."""


@dataclass(frozen=True)
class Form:
    """A way to compute: the function of each mode, the cases it supports, and its costs.

    Attributes:
        fwd: Returns the output; the first line of its docstring is the implementation's summary.
        prefill: Returns the output and the state after the last token; None if there is no prefill.
        decode: Returns the output of one token and the state after it; None if there is no decode.
        layout: Order of the axes, as in `linbench.implementation`.
        differentiable: Whether autograd computes gradients of the inputs.
        unsupported_reason: Returns in one line why a case is not supported, or None.
        flops: Returns the operations of a call at a case; by default the operator's least.
        extra_bytes: Returns the bytes needed at a case in addition to inputs and outputs; by default 0.
        launches: Records which of its kernels it launched, as in `linbench.implementation`.
        compiled: Compiles its kernels for the implementation's full name, a case and an architecture.
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
    """Register a form as an implementation of an operator; the calling file is its origin."""
    full_name = f"{operator}/{name}"
    registered = implementation(
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
    registered.origin = sys._getframe(1).f_globals.get("__file__", registered.origin)
    for mode, function in (("prefill", form.prefill), ("decode", form.decode)):
        if function is not None:
            registered.mode(mode)(function)


def float32_form(
    compute: StatefulFunction,
    *,
    layout: str,
    flops: Callable[[Case], float],
    extra_bytes: Callable[[Case], float],
) -> Form:
    """Return a form that computes fwd, prefill and decode by one function, in float32.

    It computes in float64 for float64. The state has the dtype of the computation; the output is rounded to
    the dtype of the first input. The docstring of the function is that of the form.
    """

    def prefill(*tensors: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        dtype = accumulation_dtype(tensors[0])
        before = None if state is None else tuple(x.to(dtype) for x in state)
        o, after = compute(*(x.to(dtype) for x in tensors), state=before)
        return o.to(tensors[0].dtype), after

    def fwd(*tensors: Tensor, state: State | None = None) -> Tensor:
        return prefill(*tensors, state=state)[0]

    def decode(*tensors: Tensor, state: State) -> tuple[Tensor, State]:
        return prefill(*tensors, state=state)

    fwd.__doc__ = compute.__doc__
    return Form(fwd, prefill, decode, layout=layout, flops=flops, extra_bytes=extra_bytes)
