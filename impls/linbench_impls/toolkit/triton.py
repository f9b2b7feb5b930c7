"""The Triton kernels of linbench_kernels: what they take, and how they are compiled without a device."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from linbench import Case, needs
from linbench.core.compiled import Compiled
from linbench.core.measurement import Kernel
from linbench.core.registry import registry

if TYPE_CHECKING:
    from torch import Tensor

unsupported_reason = needs(
    device="cuda",
    modules=("triton",),
    dtypes=("float32", "float16", "bfloat16"),
    at_least={"K": 16, "V": 16},
    at_most={"K": 256, "V": 256},
    capability=(8, 0),
)


def compiled_by(module: str) -> Callable[[str, Case, str], list[Compiled]]:
    """Return what compiles the kernels of an implementation, by full name, for a case and an architecture.

    Args:
        module: Of linbench_kernels.triton, whose launches are in the module of that name and `_calls`.
    """

    def compiled(name: str, case: Case, arch: str) -> list[Compiled]:
        from linbench_kernels.triton import ahead_of_time

        package = "linbench_kernels.triton"
        attention, calls = (import_module(f"{package}.{part}") for part in (module, f"{module}_calls"))
        made = ahead_of_time.compile_launches(attention, calls, arch, lambda: _call(name, case))
        return [
            Compiled(
                Kernel(
                    one.name,
                    one.configuration,
                    hashlib.sha256(one.cubin).hexdigest()[:16],
                    one.registers,
                    one.stack_bytes,
                    one.shared_bytes,
                ),
                one.threads,
                one.cubin,
            )
            for one in made
        ]

    return compiled


def _call(name: str, case: Case) -> None:
    """Call an implementation at a case, on tensors without values."""
    import torch

    implementation = registry.implementation(name)
    operator = registry.operator(implementation.operator)
    differentiate = case.mode == "fwd_bwd"
    tokens = operator.call_tokens(case)

    def new(shape: tuple[int, ...], dtype: str, wanted: bool) -> Tensor:
        made = torch.zeros(shape, dtype=getattr(torch, dtype), device="meta")
        return made.requires_grad_(wanted)

    tensors = [
        new(spec.shape(case, tokens), spec.dtype(case), differentiate and spec.differentiable)
        for spec in operator.inputs
    ]
    keywords: dict[str, Any] = {
        option: value
        for option, value in operator.option_values(case).items()
        if implementation.accepts(case.mode, option)
    }
    if operator.takes_state(case):
        keywords["state"] = tuple(new(spec.shape(case, 1), "float32", False) for spec in operator.state)
    with torch.set_grad_enabled(differentiate):
        returned = implementation.function(case.mode)(*tensors, **keywords)
    if differentiate:
        torch.autograd.grad(returned, [x for x in tensors if x.requires_grad], torch.zeros_like(returned))
