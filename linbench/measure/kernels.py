"""Kernels: the kernels that a call launches, each with its configuration and a hash of the compiled code."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from linbench.core.implementation import Implementation
from linbench.core.measurement import Kernel

TRITON_COMPILER = "triton.compiler.compiler"


@contextmanager
def record_launches(implementation: Implementation) -> Iterator[list[Kernel]]:
    """Yield a list that is filled on exit with the kernels launched inside the context, each once.

    Launches of Triton are intercepted, where it has been imported; an implementation reports its other
    kernels itself (`launches`). Kernels are compiled before their first launch, so call once before.
    """
    kernels: list[Kernel] = []
    with ExitStack() as stack:
        triton = stack.enter_context(_triton_launches())
        reported = stack.enter_context(implementation.launches()) if implementation.launches else []
        yield kernels
    kernels += dict.fromkeys([*map(triton_kernel, triton), *reported])


@contextmanager
def _triton_launches() -> Iterator[list[object]]:
    """Yield a list to which every kernel that Triton launches inside the context is appended."""
    kernels: list[object] = []
    compiler = sys.modules.get(TRITON_COMPILER)
    if compiler is None:
        yield kernels
        return
    kind: Any = compiler.CompiledKernel
    before = kind.launch_metadata

    def record(kernel: object, *arguments: object) -> object:
        kernels.append(kernel)
        return before(kernel, *arguments)

    kind.launch_metadata = record
    try:
        yield kernels
    finally:
        kind.launch_metadata = before


def triton_kernel(kernel: Any) -> Kernel:
    """Return the description of one of Triton's compiled kernels.

    The hash is of the machine code, so it is the same for the same code compiled twice; the configuration is
    Triton's own (num_warps, num_stages) and every constant of the kernel, by name.
    """
    metadata = kernel.metadata
    configuration = {name: getattr(metadata, name, None) for name in ("num_warps", "num_stages")}
    names = kernel.src.fn.arg_names
    constants = {names[place[0]]: value for place, value in kernel.src.constants.items() if len(place) == 1}
    configuration |= {
        name: value for name, value in constants.items() if isinstance(value, bool | int | float | str)
    }
    code = kernel.kernel if isinstance(kernel.kernel, bytes) else str(kernel.kernel).encode()
    return Kernel(
        name=metadata.name,
        configuration=" ".join(
            f"{name}={value}" for name, value in configuration.items() if value is not None
        ),
        hash=hashlib.sha256(code).hexdigest()[:16],
        registers=getattr(kernel, "n_regs", None),
        spills=getattr(kernel, "n_spills", None),
        shared_bytes=metadata.shared,
    )
