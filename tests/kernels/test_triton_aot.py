"""Compiles every Triton kernel of linear attention for real GPUs, without one, exactly as the launcher would.

The launcher runs on CPU tensors with each launch recorded instead of made; then what was recorded is compiled
ahead of time, and the cubin is asked for its registers, spills and shared memory.
"""

import re
import subprocess
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, CompiledKernel
from triton.runtime.jit import JITFunction

from linbench_kernels.triton import linear_attention as launcher
from linbench_kernels.triton.linear_attention_plan import tiles

pytestmark = pytest.mark.skipif(
    triton.knobs.runtime.interpret, reason="kernels are interpreted, not compiled"
)

BINARIES = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
POINTERS = {torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16"}
KERNELS = {
    "segment_states",
    "scan_segments",
    "forward",
    "decode",
    "dot_rows",
    "segment_adjoints",
    "query_gradient",
    "key_gradient",
    "value_gradient",
}
SPILLS = {torch.bfloat16: 0, torch.float32: 4}  # stores; IEEE products keep whole rows in registers
SETTINGS = ("num_warps", "num_stages")
SHARED_MEMORY_BYTES = {80: 99 * 1024, 90: 227 * 1024}


class Launch(NamedTuple):
    kernel: Any
    arguments: dict[str, Any]
    settings: dict[str, Any]


def record_launches(
    monkeypatch: pytest.MonkeyPatch, capability: int, dtype: torch.dtype, size: int
) -> list[Launch]:
    """Returns what the launcher launches for forward, backward and decode, segments and state included."""
    launches = []

    def record(kernel: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> None:  # noqa: ARG001
        settings: dict[str, Any] = {name: kwargs.pop(name) for name in SETTINGS if name in kwargs}
        launches.append(Launch(kernel, dict(zip(kernel.arg_names, args, strict=False)) | kwargs, settings))

    monkeypatch.setattr(JITFunction, "run", record)
    monkeypatch.setattr(launcher, "_check", lambda *_: None)
    monkeypatch.setattr(launcher, "segment_length", lambda *_: 64)
    monkeypatch.setattr(
        launcher, "tiles", lambda *sizes, hopper: tiles(*sizes, hopper=hopper and capability >= 90)
    )
    B, T, H = 2, 130, 3
    q, k, v = (torch.zeros(B, T, H, size, dtype=dtype, requires_grad=True) for _ in range(3))
    state = (torch.zeros(B, H, size, size, requires_grad=True), torch.zeros(B, H, size, requires_grad=True))
    o = launcher.linear_attention(q, k, v, state=state)
    o.backward(torch.zeros_like(o))
    with torch.no_grad():
        launcher.linear_attention_decode(q[:, :1], k[:, :1], v[:, :1], state)
    return launches


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
    """Returns the instructions that store to local memory: spilled registers."""
    path = folder / "kernel.cubin"
    path.write_bytes(cubin)
    run = partial(subprocess.run, check=True, capture_output=True, text=True)
    usage = run([BINARIES / "cuobjdump", "-res-usage", path]).stdout
    assert re.search(r"REG:\d+", usage), usage
    assert "LOCAL:0 " in usage, usage
    return len(re.findall(r"\bSTL\b", run([BINARIES / "nvdisasm", "-c", path]).stdout))


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("capability", [80, 90])
def test_every_kernel_compiles_within_registers_and_shared_memory(
    capability: int, dtype: torch.dtype, size: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as recording:
        launches = record_launches(recording, capability, dtype, size)
    assert {launch.kernel.__name__ for launch in launches} == KERNELS

    for launch in {launch.kernel.__name__: launch for launch in launches}.values():
        name = launch.kernel.__name__
        compiled = compile_launch(launch, capability)
        ptx = compiled.asm["ptx"]
        assert spills(compiled.asm["cubin"], tmp_path) <= SPILLS[dtype], name
        assert compiled.metadata.shared <= SHARED_MEMORY_BYTES[capability], name
        if dtype == torch.bfloat16 and "CHUNK" in launch.arguments:
            assert "wgmma.mma_async" in ptx or "mma.sync" in ptx, name
            assert "cp.async" in ptx, name


def test_without_a_gpu_the_error_says_so() -> None:
    q = torch.zeros(1, 16, 1, 16)
    with pytest.raises(RuntimeError, match="needs a CUDA device; q is on cpu"):
        launcher.linear_attention(q, q, q)
