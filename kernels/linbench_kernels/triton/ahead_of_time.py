"""Compiles the kernels of this package as their launchers would, without a GPU.

A launcher is called on tensors without values. Its launches are recorded but not executed, and each recorded
launch is compiled for its types, constants and alignments.
"""

import re
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from linbench_kernels.triton.linear_attention_plan import tiles

SEGMENT = 512
POINTERS = {
    **{torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16"},
    **{torch.int32: "*i32", torch.int64: "*i64"},
}
CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
SETTINGS = ("num_warps", "num_stages")


@dataclass(frozen=True)
class AheadOfTime:
    """A compiled kernel.

    Attributes:
        name: Name of the kernel.
        configuration: Settings and constants, as in "num_warps=4 CHUNK=64 ...".
        threads: Threads per block.
        registers: Registers per thread.
        stack_bytes: Local memory per thread, mainly register spills.
        shared_bytes: Shared memory per block.
        cubin: The machine code.
    """

    name: str
    configuration: str
    threads: int
    registers: int
    stack_bytes: int
    shared_bytes: int
    cubin: bytes


def compile_launches(
    attention: ModuleType, calls: ModuleType, arch: str, call: Callable[[], object]
) -> list[AheadOfTime]:
    """Returns the kernels that a call launches, compiled for an architecture, one per configuration.

    Args:
        attention: The module with the functions to call.
        calls: The module with their launches.
        arch: The architecture, such as "sm_90".
        call: Calls the functions on meta tensors; segments are 512 tokens long.

    Raises:
        NotImplementedError: Triton interprets kernels in this process.
    """
    if triton.knobs.runtime.interpret:
        raise NotImplementedError("Triton interprets kernels and compiles none: unset TRITON_INTERPRET")
    capability = int(arch.removeprefix("sm_"))
    launches: dict[tuple[str, str], tuple[Any, dict[str, Any], dict[str, Any]]] = {}

    def record(kernel: Any, *args: Any, **keywords: Any) -> None:
        settings = {name: keywords[name] for name in SETTINGS if name in keywords}
        arguments = dict(zip(kernel.arg_names, args, strict=False)) | keywords
        constants = {p.name: arguments[p.name] for p in kernel.params if p.is_constexpr}
        configuration = " ".join(f"{name}={value}" for name, value in (settings | constants).items())
        launches[kernel.__name__, configuration] = kernel, arguments, settings

    with ExitStack() as stack:
        for owner, name, replacement in (
            (attention, "_check", lambda *_, **__: None),  # it requires a CUDA device
            (calls, "segment_length", lambda *_: SEGMENT),
            (calls, "tiles", lambda *sizes, hopper: tiles(*sizes, hopper=hopper and capability >= 90)),
            (JITFunction, "run", record),
        ):
            stack.enter_context(patch.object(owner, name, replacement))
        call()
    return [
        _compile(name, configuration, *launch, capability)
        for (name, configuration), launch in launches.items()
    ]


def _compile(
    name: str,
    configuration: str,
    kernel: Any,
    arguments: dict[str, Any],
    settings: dict[str, Any],
    capability: int,
) -> AheadOfTime:
    signature: dict[str, Any] = {}
    constants: dict[str, Any] = {}
    alignments: dict[tuple[int, ...], list[list[Any]]] = {}
    aligned = [["tt.divisibility", 16]]
    for index, parameter in enumerate(kernel.params):
        value = arguments[parameter.name]
        if parameter.is_constexpr or value is None:
            signature[parameter.name], constants[parameter.name] = "constexpr", value
        elif isinstance(value, torch.Tensor):
            signature[parameter.name] = POINTERS[value.dtype]
            alignments[(index,)] = aligned
        elif isinstance(value, tuple):
            signature[parameter.name] = ("i32",) * len(value)
            alignments |= {(index, i): aligned for i, stride in enumerate(value) if stride % 16 == 0}
        else:
            signature[parameter.name] = "fp32" if isinstance(value, float) else "i32"
    source = ASTSource(kernel, signature, constants, alignments)
    options = {"enable_fp_fusion": True, **settings}
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    cubin, metadata = bytes(compiled.asm["cubin"]), compiled.metadata
    registers, stack_bytes = _resource_usage(cubin)
    return AheadOfTime(
        name, configuration, 32 * metadata.num_warps, registers, stack_bytes, metadata.shared, cubin
    )


def _resource_usage(cubin: bytes) -> tuple[int, int]:
    """Returns the registers and stack bytes per thread, as reported by cuobjdump."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)
        usage = subprocess.run(
            [str(CUOBJDUMP), "-res-usage", str(file)], capture_output=True, text=True, check=True
        ).stdout
    registers, stack = (int(value) for value in re.findall(r"(?:REG|STACK):(\d+)", usage)[:2])
    return registers, stack
