"""flash-linear-attention: the cases that its kernels support, and their forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from linbench import Case, needs
from linbench.core.implementation import Restriction
from linbench_impls.toolkit.register import Form
from linbench_impls.toolkit.varlen import starts

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor"]
Arguments = Callable[..., dict[str, Any]]

unsupported_reason = needs(device="cuda", modules=("fla",), dtypes=("float32", "float16", "bfloat16"))


def chunk_unsupported_reason(case: Case) -> str | None:
    """Return why the chunk kernels do not support a case: their backward needs even sizes for half types."""
    reason = unsupported_reason(case)
    if reason is None and case.mode == "fwd_bwd" and case.item_bytes == 2 and (case.K % 2 or case.V % 2):
        return f"supports even K and V in fwd_bwd of {case.dtype}, not K = {case.K} and V = {case.V}"
    return reason


def wide_unsupported_reason(case: Case) -> str | None:
    """Return why chunk kernels that hold a full key do not support a case."""
    return chunk_unsupported_reason(case) or needs(at_most={"K": 256})(case)


def half_wide_unsupported_reason(case: Case) -> str | None:
    """Return why chunk kernels that hold a full key and need half types do not support a case."""
    return wide_unsupported_reason(case) or needs(dtypes=("float16", "bfloat16"))(case)


def scaled(*names: str) -> Arguments:
    """Return a function from an operator's inputs to a kernel's keyword arguments, with the scale K^-1/2."""

    def arguments(*tensors: Tensor) -> dict[str, Any]:
        return {**dict(zip(names, tensors, strict=True)), "scale": tensors[0].shape[-1] ** -0.5}

    return arguments


def kernel(path: str, arguments: Arguments, restriction: Restriction, differentiable: bool = True) -> Form:
    """Return the form of a kernel of an operator with one state, S, in fwd and prefill.

    Args:
        path: Module and function in fla.ops, such as gla.chunk_gla.
        arguments: Returns the kernel's keyword arguments for the operator's inputs.
        restriction: Returns why a case is not supported, or None.
        differentiable: Whether the library has a backward pass for it.
    """
    module, _, function = path.partition(".")

    def run(
        tensors: tuple[Tensor, ...], state: State | None, output_final_state: bool, varlen: int = 1
    ) -> Any:
        return getattr(import_module(f"fla.ops.{module}"), function)(
            **arguments(*tensors),
            **cu_seqlens(tensors[0], varlen),
            initial_state=None if state is None else state[0],
            output_final_state=output_final_state,
        )

    def fwd(*tensors: Tensor, varlen: int = 1, state: State | None = None) -> Tensor:
        o: Tensor = run(tensors, state, output_final_state=False, varlen=varlen)[0]
        return o

    def prefill(*tensors: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        o, S = run(tensors, state, output_final_state=True)
        return o, (S,)

    fwd.__doc__ = f"flash-linear-attention's {function}."
    return Form(fwd, prefill, unsupported_reason=restriction, differentiable=differentiable)


def recurrent(path: str, arguments: Arguments, differentiable: bool = True) -> Form:
    """Return the form of a kernel that computes token by token; decode is a sequence of one token."""
    form = kernel(path, arguments, unsupported_reason, differentiable)
    return replace(form, decode=form.prefill)


def cu_seqlens(q: Tensor, sequences: int) -> dict[str, Tensor]:
    """Return a kernel's keyword argument for the sequences of q, [1, T, H, K]; empty for one sequence."""
    import torch

    return {} if sequences == 1 else {"cu_seqlens": starts(q.shape[1], sequences, q.device, torch.int64)}


def parallel(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
    """Return the output of parallel_simple_gla, which is quadratic in T and has no state; g: [B, T, H]."""
    from fla.ops.simple_gla import parallel_simple_gla

    o: Tensor = parallel_simple_gla(q, k, v, g, scale=q.shape[-1] ** -0.5)[0]
    return o
