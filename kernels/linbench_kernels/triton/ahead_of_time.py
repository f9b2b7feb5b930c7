"""Kernels of this package compiled for a GPU that is not there, as their launchers would.

A launcher is called on tensors without values, each launch is noted instead of made, and what was noted is
compiled for the types, constants and alignments that it has.
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
    """A kernel as it was compiled.

    Attributes:
        name: The kernel's.
        configuration: Its settings and constants, as in "num_warps=4 CHUNK=64 ...".
        threads: Of a block.
        registers: Of a thread.
        stack_bytes: Of a thread in local memory: what spills, above all.
        shared_bytes: Of a block.
        cubin: The machine code.
    """

    name: str
    configuration: str
    threads: int
    registers: int
    stack_bytes: int
    shared_bytes: int
    cubin: bytes


def compiled(
    attention: ModuleType, calls: ModuleType, arch: str, call: Callable[[], object]
) -> list[AheadOfTime]:
    """Returns what a call launches, compiled for an architecture, each configuration of a kernel once.

    Args:
        attention: The module whose functions are called.
        calls: The module of their launches.
        arch: As in "sm_90".
        call: Calls them on tensors on the device meta; segments are 512 tokens long.

    Raises:
        NotImplementedError: Triton interprets kernels here.
    """
    if triton.knobs.runtime.interpret:
        raise NotImplementedError("Triton interprets kernels here, and compiles none: unset TRITON_INTERPRET")
    capability = int(arch.removeprefix("sm_"))
    found: dict[tuple[str, str], tuple[Any, dict[str, Any], dict[str, Any]]] = {}

    def note(kernel: Any, *args: Any, **keywords: Any) -> None:
        settings = {name: keywords[name] for name in SETTINGS if name in keywords}
        arguments = dict(zip(kernel.arg_names, args, strict=False)) | keywords
        constants = {p.name: arguments[p.name] for p in kernel.params if p.is_constexpr}
        words = " ".join(f"{name}={value}" for name, value in (settings | constants).items())
        found[kernel.__name__, words] = kernel, arguments, settings

    with ExitStack() as stack:
        for owner, name, instead in (
            (attention, "_check", lambda *_, **__: None),  # which asks for a CUDA device
            (calls, "segment_length", lambda *_: SEGMENT),
            (calls, "tiles", lambda *sizes, hopper: tiles(*sizes, hopper=hopper and capability >= 90)),
            (JITFunction, "run", note),
        ):
            stack.enter_context(patch.object(owner, name, instead))
        call()
    return [_compile(name, words, *launch, capability) for (name, words), launch in found.items()]


def _compile(
    name: str, words: str, kernel: Any, arguments: dict[str, Any], settings: dict[str, Any], capability: int
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
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    registers, stack_bytes = _taken(made.asm["cubin"])
    threads = 32 * made.metadata.num_warps
    return AheadOfTime(
        name, words, threads, registers, stack_bytes, made.metadata.shared, bytes(made.asm["cubin"])
    )


def _taken(cubin: bytes) -> tuple[int, int]:
    """Returns the registers and the bytes of stack of a thread, as cuobjdump reads them."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)
        told = subprocess.run(
            [str(CUOBJDUMP), "-res-usage", str(file)], capture_output=True, text=True, check=True
        ).stdout
    registers, stack = (int(value) for value in re.findall(r"(?:REG|STACK):(\d+)", told)[:2])
    return registers, stack
