"""Launches kernels on torch's current stream, compiles them at first use, and records the launches."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from linbench_kernels.cuda.compile import Cubin, Resources, compile_cubin, cuda_core

MAX_UNSET_SHARED_BYTES = 48 * 1024  # the largest request that needs no change of the kernel's limit


@dataclass(frozen=True)
class Program:
    """A CUDA source with values for its macros."""

    source: Path
    macros: tuple[tuple[str, str], ...]

    def compile(self, arch: str) -> Cubin:
        """Returns the cubin for an architecture, such as "sm_90"."""
        return compile_cubin(self.source, arch, dict(self.macros))


@dataclass(frozen=True)
class Launch:
    """A launch of a kernel.

    Attributes:
        name: Name of the kernel.
        configuration: The macros it was compiled with: "DTYPE=BFLOAT16 HEAD_K=64 ...".
        hash: Hash of the machine code, 16 hexadecimal digits.
        resources: Registers, spills and static shared memory.
        shared_bytes: Static and dynamic shared memory per block.
    """

    name: str
    configuration: str
    hash: str
    resources: Resources
    shared_bytes: int


_records: list[list[Launch]] = []


@contextmanager
def recorded_launches() -> Iterator[list[Launch]]:
    """Yields a list to which every launch of these kernels within the context is added."""
    launches: list[Launch] = []
    _records.append(launches)
    try:
        yield launches
    finally:
        _records.pop()


def describe(kernel: str, program: Program, cubin: Cubin, shared_bytes: int) -> Launch:
    """Returns the record of a launch with `shared_bytes` of dynamic shared memory."""
    return Launch(
        name=kernel,
        configuration=" ".join(f"{macro}={value}" for macro, value in sorted(program.macros)),
        hash=hashlib.sha256(cubin.code).hexdigest()[:16],
        resources=cubin.kernels[kernel],
        shared_bytes=shared_bytes + cubin.kernels[kernel].static_shared_bytes,
    )


def launch(
    kernel: str,
    program: Program,
    device: torch.device,
    grid: tuple[int, int],
    threads: int,
    shared_bytes: int,
    *arguments: Tensor | int | None,
) -> None:
    """Launches a kernel; all arguments are 64 bits wide, and None is passed as a null pointer.

    Once the kernel is loaded, a launch neither allocates nor synchronises, so a CUDA graph can capture it.
    """
    core = cuda_core()
    values = [x.data_ptr() if isinstance(x, Tensor) else x or 0 for x in arguments]
    with torch.cuda.device(device):
        core.Device(device.index).set_current()
        function, description = _load(kernel, program, device.index, shared_bytes)
        for launches in _records:
            launches.append(description)
        stream = core.Stream.from_handle(torch.cuda.current_stream().cuda_stream)
        config = core.LaunchConfig(grid=grid, block=threads, shmem_size=shared_bytes)
        core.launch(stream, config, function, *values)


@cache
def _load(kernel: str, program: Program, device: int, shared_bytes: int) -> tuple[Any, Launch]:
    """Loads a kernel on a device and raises its shared memory limit; returns it with its description."""
    from cuda.bindings import driver

    major, minor = torch.cuda.get_device_capability(device)
    cubin = program.compile(f"sm_{major}{minor}")
    function = cuda_core().ObjectCode.from_cubin(cubin.code).get_kernel(kernel)
    if shared_bytes > MAX_UNSET_SHARED_BYTES:
        limit = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        handle = driver.CUkernel(int(function._handle))  # older releases have no public `handle`
        (error,) = driver.cuKernelSetAttribute(limit, shared_bytes, handle, driver.CUdevice(device))
        if error != driver.CUresult.CUDA_SUCCESS:
            raise RuntimeError(f"cuda:{device} does not allow {shared_bytes} bytes of shared memory: {error}")
    return function, describe(kernel, program, cubin, shared_bytes)
