"""The Triton kernels of linbench_kernels: the cases they support, and compilation without a device."""

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


def kernel_compiler(module: str) -> Callable[[str, Case, str], list[Compiled]]:
    """Return a function that compiles the kernels of an implementation for a case and an architecture.

    The implementation is given by its full name.

    Args:
        module: Name of a module of linbench_kernels.triton; its launches are in that name plus `_calls`.
    """

    def compile_kernels(name: str, case: Case, arch: str) -> list[Compiled]:
        from linbench_kernels.triton import ahead_of_time

        package = "linbench_kernels.triton"
        attention, calls = (import_module(f"{package}.{part}") for part in (module, f"{module}_calls"))
        kernels = ahead_of_time.compile_launches(attention, calls, arch, lambda: _call(name, case))
        return [
            Compiled(
                Kernel(
                    kernel.name,
                    kernel.configuration,
                    hashlib.sha256(kernel.cubin).hexdigest()[:16],
                    kernel.registers,
                    kernel.stack_bytes,
                    kernel.shared_bytes,
                ),
                kernel.threads,
                kernel.cubin,
            )
            for kernel in kernels
        ]

    return compile_kernels


def _call(name: str, case: Case) -> None:
    """Call an implementation at a case, on meta tensors."""
    import torch

    implementation = registry.implementation(name)
    operator = registry.operator(implementation.operator)
    differentiate = case.mode == "fwd_bwd"
    tokens = operator.call_tokens(case)

    def new(shape: tuple[int, ...], dtype: str, requires_grad: bool) -> Tensor:
        tensor = torch.zeros(shape, dtype=getattr(torch, dtype), device="meta")
        return tensor.requires_grad_(requires_grad)

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
        output = implementation.function(case.mode)(*tensors, **keywords)
    if differentiate:
        torch.autograd.grad(output, [x for x in tensors if x.requires_grad], torch.zeros_like(output))
