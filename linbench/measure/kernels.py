"""Kernels: what a call launches, with the configuration that was chosen and a hash of what was compiled."""

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
def launched(implementation: Implementation) -> Iterator[list[Kernel]]:
    """Yield a list that is filled, in the end, with the kernels launched meanwhile, each once.

    Triton's are seen as Triton launches them, where it has been imported; of others an implementation says
    itself (`launches`). The compiled kernel is made before it is launched, so a first call comes before.
    """
    found: list[Kernel] = []
    with ExitStack() as stack:
        triton = stack.enter_context(_triton_launches())
        own = stack.enter_context(implementation.launches()) if implementation.launches else []
        yield found
    seen = [triton_kernel(kernel) for kernel in triton] + list(own)
    found += dict.fromkeys(seen)


@contextmanager
def _triton_launches() -> Iterator[list[object]]:
    """Yield a list to which every kernel is added that Triton launches meanwhile."""
    seen: list[object] = []
    compiler = sys.modules.get(TRITON_COMPILER)
    if compiler is None:
        yield seen
        return
    kind: Any = compiler.CompiledKernel
    before = kind.launch_metadata

    def note(kernel: object, *given: object) -> object:
        seen.append(kernel)
        return before(kernel, *given)

    kind.launch_metadata = note
    try:
        yield seen
    finally:
        kind.launch_metadata = before


def triton_kernel(kernel: Any) -> Kernel:
    """Return what is kept of one of Triton's compiled kernels.

    The hash is of the machine code, so that it tells the same code compiled twice from another; the
    configuration is Triton's own (num_warps, num_stages) and every constant of the kernel, by name.
    """
    metadata = kernel.metadata
    chosen = {name: getattr(metadata, name, None) for name in ("num_warps", "num_stages")}
    names = kernel.src.fn.arg_names
    constants = {names[place[0]]: value for place, value in kernel.src.constants.items() if len(place) == 1}
    chosen |= {
        name: value for name, value in constants.items() if isinstance(value, bool | int | float | str)
    }
    code = kernel.kernel if isinstance(kernel.kernel, bytes) else str(kernel.kernel).encode()
    return Kernel(
        name=metadata.name,
        configuration=" ".join(f"{name}={value}" for name, value in chosen.items() if value is not None),
        hash=hashlib.sha256(code).hexdigest()[:16],
        registers=getattr(kernel, "n_regs", None),
        spills=getattr(kernel, "n_spills", None),
        shared_bytes=metadata.shared,
    )
