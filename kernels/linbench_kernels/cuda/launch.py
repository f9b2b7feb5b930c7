"""Launches of kernels that are compiled at first use, on torch's current stream, and a record of them."""

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

MAX_UNSET_SHARED_BYTES = 48 * 1024  # what a launch may ask for without raising the kernel's limit


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
    """A kernel that was launched.

    Attributes:
        name: The kernel's.
        configuration: What it was compiled for, as macros: "DTYPE=BFLOAT16 HEAD_K=64 ...".
        hash: Of the machine code, 16 hexadecimal digits.
        resources: What it takes of a multiprocessor.
        shared_bytes: Shared memory of a block, what the launch asked for included.
    """

    name: str
    configuration: str
    hash: str
    resources: Resources
    shared_bytes: int


_recordings: list[list[Launch]] = []


@contextmanager
def recorded_launches() -> Iterator[list[Launch]]:
    """Yields a list to which every launch of these kernels is added meanwhile."""
    recording: list[Launch] = []
    _recordings.append(recording)
    try:
        yield recording
    finally:
        _recordings.pop()


def describe(kernel: str, program: Program, cubin: Cubin, shared_bytes: int) -> Launch:
    """Returns what a launch that asks for `shared_bytes` is recorded as."""
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
    """Launches a kernel; arguments are 64 bits wide, a missing tensor is null.

    Once the kernel is loaded, a launch allocates nothing and waits for nothing: a CUDA graph can record it.
    """
    core = cuda_core()
    words = [x.data_ptr() if isinstance(x, Tensor) else x or 0 for x in arguments]
    with torch.cuda.device(device):
        core.Device(device.index).set_current()
        loaded, description = _loaded(kernel, program, device.index, shared_bytes)
        for recording in _recordings:
            recording.append(description)
        stream = core.Stream.from_handle(torch.cuda.current_stream().cuda_stream)
        config = core.LaunchConfig(grid=grid, block=threads, shmem_size=shared_bytes)
        core.launch(stream, config, loaded, *words)


@cache
def _loaded(kernel: str, program: Program, device: int, shared_bytes: int) -> tuple[Any, Launch]:
    """Returns a kernel loaded on a device and allowed the shared memory it asks for, and what it is."""
    from cuda.bindings import driver

    major, minor = torch.cuda.get_device_capability(device)
    cubin = program.compile(f"sm_{major}{minor}")
    loaded = cuda_core().ObjectCode.from_cubin(cubin.code).get_kernel(kernel)
    if shared_bytes > MAX_UNSET_SHARED_BYTES:
        limit = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        handle = driver.CUkernel(int(loaded._handle))  # older releases have no public `handle`
        (error,) = driver.cuKernelSetAttribute(limit, shared_bytes, handle, driver.CUdevice(device))
        if error != driver.CUresult.CUDA_SUCCESS:
            raise RuntimeError(f"{shared_bytes} bytes of shared memory are refused on cuda:{device}: {error}")
    return loaded, describe(kernel, program, cubin, shared_bytes)
