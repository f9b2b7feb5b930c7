"""Compiles Triton kernels for real GPUs as their launcher would, without a GPU.

The launcher runs on CPU tensors; its launches are recorded but not executed. Each recorded launch is compiled
ahead of time, and the registers, spills and shared memory are read from the cubin.
"""

import re
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import triton
from torch.utils._python_dispatch import TorchDispatchMode
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, CompiledKernel
from triton.runtime.jit import JITFunction

BINARIES = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
POINTERS = {torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16", torch.int32: "*i32"}
VARIANTS = ("DECAY_GRADIENT", "REVERSE")
SETTINGS = ("num_warps", "num_stages")
SHARED_MEMORY_BYTES = {80: 99 * 1024, 90: 227 * 1024}


class Launch(NamedTuple):
    kernel: Any
    arguments: dict[str, Any]
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.kernel.__name__)


def record(launcher: Callable[[], None]) -> list[Launch]:
    """Returns the launches of a launcher, for each kernel and variant the last one."""
    launches = {}

    def run(kernel: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> None:  # noqa: ARG001
        settings: dict[str, Any] = {name: kwargs.pop(name) for name in SETTINGS if name in kwargs}
        launch = Launch(kernel, dict(zip(kernel.arg_names, args, strict=False)) | kwargs, settings)
        launches[launch.name, *(str(launch.arguments.get(name)) for name in VARIANTS)] = launch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JITFunction, "run", run)
        launcher()
    return list(launches.values())


class OperationLog(TorchDispatchMode):
    """Records the operations of torch within the context."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Any] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations.append(function)
        return function(*args, **(kwargs or {}))


def compile_launch(launch: Launch, capability: int) -> CompiledKernel:
    """Returns the kernel compiled for the types, constants and alignments of a launch."""
    signature: dict[str, Any] = {}
    constants: dict[str, Any] = {}
    alignments: dict[tuple[int, ...], list[list[Any]]] = {}
    aligned = [["tt.divisibility", 16]]
    for index, parameter in enumerate(launch.kernel.params):
        value = launch.arguments[parameter.name]
        if parameter.is_constexpr or value is None:
            signature[parameter.name], constants[parameter.name] = "constexpr", value
        elif isinstance(value, torch.Tensor):
            signature[parameter.name] = POINTERS[value.dtype]
            alignments[(index,)] = aligned
        elif isinstance(value, tuple):
            signature[parameter.name] = ("i32",) * len(value)
            alignments |= {(index, i): aligned for i, stride in enumerate(value) if stride % 16 == 0}
        else:
            signature[parameter.name] = "i32"
    source = ASTSource(launch.kernel, signature, constants, alignments)
    options = {"enable_fp_fusion": True, **launch.settings}
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


def spills(cubin: bytes, folder: Path) -> int:
    """Returns the number of instructions that store to local memory, which are register spills."""
    path = folder / "kernel.cubin"
    path.write_bytes(cubin)
    run = partial(subprocess.run, check=True, capture_output=True, text=True)
    usage = run([BINARIES / "cuobjdump", "-res-usage", path]).stdout
    assert re.search(r"REG:\d+", usage), usage
    assert "LOCAL:0 " in usage, usage
    return len(re.findall(r"\bSTL\b", run([BINARIES / "nvdisasm", "-c", path]).stdout))


def check(launch: Launch, capability: int, max_spills: int, folder: Path) -> None:
    """Compiles a launch; fails if it spills more, exceeds the shared memory or has no load pipeline."""
    compiled = compile_launch(launch, capability)
    ptx, half = (
        compiled.asm["ptx"],
        any(isinstance(x, torch.Tensor) and x.dtype != torch.float32 for x in launch.arguments.values()),
    )
    assert spills(compiled.asm["cubin"], folder) <= max_spills, launch.name
    assert compiled.metadata.shared <= SHARED_MEMORY_BYTES[capability], launch.name
    if half and "CHUNK" in launch.arguments:
        assert ("wgmma.mma_async" if capability >= 90 else "mma.sync") in ptx, launch.name
        assert "cp.async" in ptx, launch.name
