"""Kernels: the occupancy and the instruction mix of compiled kernels."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from linbench.core.compiled import Compiled
from linbench.core.errors import EnvironmentRefused

WARP = 32
REGISTERS = 65536
REGISTER_UNIT = 256  # allocation granularity per warp
WARPS = 64
BLOCKS = 32
SHARED_UNIT = 128
SHARED_RESERVED = 1024  # reserved by the driver per block
SHARED_BYTES = {"sm_80": 164 * 1024, "sm_90": 228 * 1024, "sm_100": 228 * 1024}
"""Shared memory per multiprocessor, by architecture; see the CUDA C++ Programming Guide."""

MIX = {
    "wgmma": r"[HIQB]GMMA",
    "tcgen05": r"UTC\w*MMA",
    "mma": r"[HIDQO]MMA",
    "cp.async": r"LDGSTS",
    "tma": r"UTMA\w+|UBLK\w+",
    "fma": r"[FDH]FMA2?|HFMA2",
    "global": r"LDG|STG|RED|ATOMG?",
    "shared": r"LDS|STS|LDSM|STSM",
    "local": r"LDL|STL",
}
"""Patterns of instruction mnemonics by kind; the first that matches counts."""

_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?(?P<mnemonic>[A-Z][A-Z0-9]*)")


@dataclass(frozen=True)
class KernelReport:
    """The resources and the instruction mix of a compiled kernel.

    Attributes:
        compiled: The kernel.
        arch: Architecture that it was compiled for.
        occupancy: Largest number of its resident warps per multiprocessor, as a share of the hardware limit.
        bound: Resource that limits the occupancy: registers, shared memory, threads or blocks.
        instructions: Number of instructions of each kind of `MIX`, and of all; None without a disassembler.
    """

    compiled: Compiled
    arch: str
    occupancy: float
    bound: str
    instructions: Mapping[str, int] | None


def inspect(kernels: Sequence[Compiled], arch: str) -> list[KernelReport]:
    """Return the reports of kernels that were compiled for an architecture."""
    disassembler = nvdisasm()
    texts: dict[bytes, dict[str, str]] = {}
    reports = []
    for kernel in kernels:
        instructions = None
        if disassembler is not None:
            if kernel.code not in texts:
                texts[kernel.code] = assembly(kernel.code, disassembler)
            instructions = mix(texts[kernel.code][kernel.kernel.name])
        share, bound = occupancy(kernel, arch)
        reports.append(KernelReport(kernel, arch, share, bound, instructions))
    return reports


def occupancy(compiled: Compiled, arch: str) -> tuple[float, str]:
    """Return the theoretical occupancy of a kernel, as a share, and the resource that limits it.

    Registers are allocated per warp in units of 256, shared memory per block in units of 128 bytes plus
    1 KiB. Clusters and concurrent kernels are not considered.
    """
    warps = -(-compiled.threads // WARP)
    registers = -(-(compiled.kernel.registers or 1) * WARP // REGISTER_UNIT) * REGISTER_UNIT
    shared = -(-(compiled.kernel.shared_bytes or 0) // SHARED_UNIT) * SHARED_UNIT + SHARED_RESERVED
    blocks = {
        "registers": REGISTERS // registers // warps,
        "shared memory": SHARED_BYTES[arch] // shared,
        "threads": WARPS // warps,
        "blocks": BLOCKS,
    }
    bound = min(blocks, key=lambda name: blocks[name])
    return blocks[bound] * warps / WARPS, bound


def mix(text: str) -> dict[str, int]:
    """Return the number of instructions of each kind in the assembly of a kernel, and of all."""
    counts: Counter[str] = Counter()
    for match in _INSTRUCTION.finditer(text):
        counts["all"] += 1
        kind = next((name for name, regex in MIX.items() if re.fullmatch(regex, match["mnemonic"])), None)
        if kind is not None:
            counts[kind] += 1
    return {name: counts[name] for name in (*MIX, "all")}


def assembly(code: bytes, disassembler: Path) -> dict[str, str]:
    """Return the assembly of every kernel of a cubin, by name.

    Raises:
        EnvironmentRefused: The disassembler rejects the cubin.
    """
    with tempfile.TemporaryDirectory(prefix="linbench-") as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(code)
        process = subprocess.run([disassembler, "-c", file], capture_output=True, text=True, check=False)
    if process.returncode:
        raise EnvironmentRefused(f"{disassembler} rejects this cubin: {process.stderr.strip()[:200]}")
    _, *sections = process.stdout.split(".section\t.text.")
    return {section.split(",", 1)[0]: section for section in sections}


def nvdisasm() -> Path | None:
    """Return CUDA's disassembler: the one on PATH, or Triton's own; None if there is neither."""
    if (program := shutil.which("nvdisasm")) is not None:
        return Path(program)
    spec = find_spec("triton")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "backends" / "nvidia" / "bin" / "nvdisasm"
    return path if path.exists() else None
