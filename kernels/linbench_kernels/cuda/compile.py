"""Compiles CUDA C++ source to a cubin with NVRTC; needs no driver, GPU or nvcc.

A cubin is stored on disk under a hash of all its inputs, so each cubin is compiled only once. The folder is
`$LINBENCH_CACHE_DIR`, or `linbench` in the user's cache folder.
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

PTXAS_OPTIONS = ["-v"]  # prints the registers and spills of each kernel to the log
STANDARD = "c++17"

_KERNEL_REPORT = re.compile(
    r"Compiling entry function '(?P<kernel>\w+)'"
    r".*?(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads"
    r".*?Used (?P<registers>\d+) registers(?:[^\n]*?(?P<shared>\d+) bytes smem)?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Resources:
    """The resources of a multiprocessor that one kernel uses.

    Attributes:
        registers: 32-bit registers per thread.
        spill_bytes: Bytes per thread written to and read from local memory because of register spills.
        static_shared_bytes: Shared memory declared in the kernel, without the dynamic shared memory of a
            launch.
    """

    registers: int
    spill_bytes: int
    static_shared_bytes: int


@dataclass(frozen=True)
class Cubin:
    """Machine code for one architecture, and the log of the assembler."""

    code: bytes
    log: str

    @property
    def kernels(self) -> dict[str, Resources]:
        """The resources of every kernel, by name, from the log of the assembler."""
        return {
            report["kernel"]: Resources(
                registers=int(report["registers"]),
                spill_bytes=int(report["stores"]) + int(report["loads"]),
                static_shared_bytes=int(report["shared"] or 0),
            )
            for report in _KERNEL_REPORT.finditer(self.log)
        }


def cuda_core() -> Any:
    """Returns the module cuda.core, named cuda.core.experimental in releases before 0.5.

    Raises:
        RuntimeError: cuda-core is not installed.
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
    """Returns the cubin of a source file; compiles it if it is not in the cache.

    Args:
        source: The file; it may include the headers in its folder.
        arch: The target architecture, such as "sm_90".
        defines: Macros and their values.

    Raises:
        RuntimeError: cuda-core is not installed.
        Exception: NVRTC rejects the source; the message contains its log.
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
    if folder := os.environ.get("LINBENCH_CACHE_DIR"):
        return Path(folder) / "cubin"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "linbench" / "cubin"


def _write(path: Path, content: bytes) -> None:
    """Writes a file atomically, so another process never sees a partial file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)
