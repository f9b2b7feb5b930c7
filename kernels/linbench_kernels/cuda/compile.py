"""CUDA C++ source to a cubin, with NVRTC: no driver, no GPU and no nvcc needed.

A cubin is kept on disk under a hash of all that it depends on, so that a process compiles only what no
process before it has. The folder is `$LINBENCH_CACHE_DIR`, or `linbench` in the user's cache folder.
"""

import hashlib
import io
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PTXAS_OPTIONS = ["-v"]  # so that the log has each kernel's registers and spills
STANDARD = "c++17"

_KERNEL_REPORT = re.compile(
    r"Compiling entry function '(?P<kernel>\w+)'"
    r".*?(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads"
    r".*?Used (?P<registers>\d+) registers(?:[^\n]*?(?P<shared>\d+) bytes smem)?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Resources:
    """What one kernel takes of a multiprocessor.

    Attributes:
        registers: 32-bit registers of a thread.
        spill_bytes: Bytes a thread writes to and reads from local memory because registers ran out.
        static_shared_bytes: Shared memory declared in the kernel; what a launch asks for comes on top.
    """

    registers: int
    spill_bytes: int
    static_shared_bytes: int


@dataclass(frozen=True)
class Cubin:
    """Machine code for one architecture, and what the assembler said about it."""

    code: bytes
    log: str

    @property
    def kernels(self) -> dict[str, Resources]:
        """The resources of every kernel, by name, as the assembler reported them."""
        return {
            report["kernel"]: Resources(
                registers=int(report["registers"]),
                spill_bytes=int(report["stores"]) + int(report["loads"]),
                static_shared_bytes=int(report["shared"] or 0),
            )
            for report in _KERNEL_REPORT.finditer(self.log)
        }


def cuda_core() -> Any:
    """Returns the module cuda.core, which releases before 0.5 call cuda.core.experimental.

    Raises:
        RuntimeError: It is not installed.
    """
    try:
        import cuda.core as core

        if not hasattr(core, "Program"):
            import cuda.core.experimental as core
    except ImportError as error:
        raise RuntimeError(
            "CUDA C++ kernels need cuda-core, which is not installed: pip install 'cuda-core[cu13]'"
        ) from error
    return core


def compile_cubin(source: Path, arch: str, defines: Mapping[str, str]) -> Cubin:
    """Returns the cubin of a source file, from the cache if it was compiled before.

    Args:
        source: The file; it may include the headers beside it.
        arch: The architecture to compile for, such as "sm_90".
        defines: Macros and their values.

    Raises:
        RuntimeError: cuda-core is not installed.
        Exception: NVRTC refuses the source; the message holds its log.
    """
    core = cuda_core()
    code_path = _cache_dir() / f"{source.stem}-{arch}-{_key(source, arch, defines)}.cubin"
    log_path = code_path.with_suffix(".log")
    if code_path.exists() and log_path.exists():
        return Cubin(code_path.read_bytes(), log_path.read_text())

    options = core.ProgramOptions(
        name=source.name,
        arch=arch,
        std=STANDARD,
        define_macro=list(defines.items()),
        include_path=str(source.parent),
        ptxas_options=PTXAS_OPTIONS,
    )
    log = io.StringIO()
    code = core.Program(source.read_text(), "c++", options).compile("cubin", logs=log).code
    cubin = Cubin(bytes(code), log.getvalue())
    _write(log_path, cubin.log.encode())
    _write(code_path, cubin.code)
    return cubin


def _key(source: Path, arch: str, defines: Mapping[str, str]) -> str:
    """Returns a hash of everything a cubin depends on."""
    from cuda.bindings import nvrtc

    texts = [source.read_text(), *(header.read_text() for header in sorted(source.parent.glob("*.h")))]
    parts = [arch, STANDARD, *PTXAS_OPTIONS, str(nvrtc.nvrtcVersion()), repr(sorted(defines.items())), *texts]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _cache_dir() -> Path:
    if given := os.environ.get("LINBENCH_CACHE_DIR"):
        return Path(given) / "cubin"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "linbench" / "cubin"


def _write(path: Path, content: bytes) -> None:
    """Writes a file so that another process sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)
