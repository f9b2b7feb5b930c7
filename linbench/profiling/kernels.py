"""Kernels: what compiled kernels take of a multiprocessor, and what instructions they are made of."""

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
REGISTER_UNIT = 256  # registers that a warp is given at a time
WARPS = 64
BLOCKS = 32
SHARED_UNIT = 128
SHARED_RESERVED = 1024  # that the driver takes of every block
SHARED_BYTES = {"sm_80": 164 * 1024, "sm_90": 228 * 1024, "sm_100": 228 * 1024}
"""Shared memory of a multiprocessor, by architecture; see the CUDA C++ Programming Guide."""

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
"""Mnemonics of machine instructions, by what CUDA calls them; the first that matches counts."""

_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?(?P<mnemonic>[A-Z][A-Z0-9]*)")


@dataclass(frozen=True)
class KernelReport:
    """What is known of a compiled kernel.

    Attributes:
        compiled: The kernel.
        arch: That it was compiled for.
        occupancy: The most warps that a multiprocessor holds of it, as a share of all that it can hold.
        bound: What bounds them: registers, shared memory, threads or blocks.
        instructions: How many instructions of each of `MIX` it has, and of all; None without a disassembler.
    """

    compiled: Compiled
    arch: str
    occupancy: float
    bound: str
    instructions: Mapping[str, int] | None


def inspect(found: Sequence[Compiled], arch: str) -> list[KernelReport]:
    """Return what is known of kernels that were compiled for an architecture."""
    disassembler = nvdisasm()
    texts: dict[bytes, dict[str, str]] = {}
    inspected = []
    for one in found:
        instructions = None
        if disassembler is not None:
            if one.code not in texts:
                texts[one.code] = assembly(one.code, disassembler)
            instructions = mix(texts[one.code][one.kernel.name])
        share, bound = occupancy(one, arch)
        inspected.append(KernelReport(one, arch, share, bound, instructions))
    return inspected


def occupancy(one: Compiled, arch: str) -> tuple[float, str]:
    """Return the most warps of a kernel on a multiprocessor, as a share, and what bounds them.

    Registers are given to warps in units of 256, shared memory to blocks in units of 128 bytes with 1 KiB on
    top. Clusters and what else runs are left out.
    """
    warps = -(-one.threads // WARP)
    registers = -(-(one.kernel.registers or 1) * WARP // REGISTER_UNIT) * REGISTER_UNIT
    shared = -(-(one.kernel.shared_bytes or 0) // SHARED_UNIT) * SHARED_UNIT + SHARED_RESERVED
    blocks = {
        "registers": REGISTERS // registers // warps,
        "shared memory": SHARED_BYTES[arch] // shared,
        "threads": WARPS // warps,
        "blocks": BLOCKS,
    }
    bound = min(blocks, key=lambda name: blocks[name])
    return blocks[bound] * warps / WARPS, bound


def mix(text: str) -> dict[str, int]:
    """Return how many instructions of each kind the assembly of a kernel has, and of all."""
    found: Counter[str] = Counter()
    for match in _INSTRUCTION.finditer(text):
        found["all"] += 1
        kind = next((name for name, like in MIX.items() if re.fullmatch(like, match["mnemonic"])), None)
        if kind is not None:
            found[kind] += 1
    return {name: found[name] for name in (*MIX, "all")}


def assembly(code: bytes, disassembler: Path) -> dict[str, str]:
    """Return the assembly of every kernel of a cubin, by name.

    Raises:
        EnvironmentRefused: The disassembler does not take it.
    """
    with tempfile.TemporaryDirectory(prefix="linbench-") as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(code)
        done = subprocess.run([disassembler, "-c", file], capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentRefused(f"{disassembler} does not take this cubin: {done.stderr.strip()[:200]}")
    _, *sections = done.stdout.split(".section\t.text.")
    return {section.split(",", 1)[0]: section for section in sections}


def nvdisasm() -> Path | None:
    """Return CUDA's disassembler: the one on PATH, or the one that Triton has; None if there is neither."""
    if (found := shutil.which("nvdisasm")) is not None:
        return Path(found)
    spec = find_spec("triton")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "backends" / "nvidia" / "bin" / "nvdisasm"
    return path if path.exists() else None
