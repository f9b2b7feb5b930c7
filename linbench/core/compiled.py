"""Compiled: a kernel as it was compiled ahead of time, without a device."""

from dataclasses import dataclass, field

from linbench.core.measurement import Kernel


@dataclass(frozen=True)
class Compiled:
    """A kernel in a cubin.

    Attributes:
        kernel: Its name, configuration, registers, spills and shared memory, all of which are known here.
        threads: Of a block.
        code: The cubin that it is in.
    """

    kernel: Kernel
    threads: int
    code: bytes = field(repr=False)
