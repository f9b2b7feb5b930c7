"""Compiled: a kernel that was compiled ahead of time, without a device."""

from dataclasses import dataclass, field

from linbench.core.measurement import Kernel


@dataclass(frozen=True)
class Compiled:
    """A kernel in a cubin.

    Attributes:
        kernel: The name, configuration, registers, spills and shared memory; all of them are known here.
        threads: Threads per block.
        code: The cubin that contains the kernel.
    """

    kernel: Kernel
    threads: int
    code: bytes = field(repr=False)
