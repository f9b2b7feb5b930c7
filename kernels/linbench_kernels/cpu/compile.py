"""Compiles C++ sources to a shared library for this CPU with g++ or clang++; needs no external headers.

A library is stored on disk under a hash of all its inputs, so each library is compiled only once.
The folder is `$LINBENCH_CACHE_DIR`, or `linbench` in the user's cache folder.
"""

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch

FLAGS = ["-std=c++17", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-shared", "-pthread"]
VARIANTS = {  # by torch's name of the CPU's vector instructions
    "AVX512": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"],
    "AVX2": ["-mavx2", "-mfma"],
    "DEFAULT": [],
}
VECTOR_FLOATS = {"AVX512": 16, "AVX2": 8, "DEFAULT": 4}
COMPILERS = ("g++", "clang++", "c++")


def variant() -> str:
    """Returns the widest variant that this CPU supports; ATEN_CPU_CAPABILITY limits it, as in torch."""
    capability = torch.backends.cpu.get_cpu_capability()
    return capability if capability in VARIANTS else "DEFAULT"


def vector_floats() -> int:
    """Returns the number of floats in a vector of that variant."""
    return VECTOR_FLOATS[variant()]


def compiler() -> list[str] | None:
    """Returns the command of the C++ compiler, `$CXX` or the first of g++, clang++ and c++, or None."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else COMPILERS
    for name in names:
        command = shlex.split(name)
        if shutil.which(command[0]):
            return command
    return None


def unsupported_reason() -> str | None:
    """Returns None if kernels can be compiled on this machine, else one line that names what to install."""
    if compiler() is not None:
        return None
    candidates = os.environ.get("CXX") or ", ".join(COMPILERS)
    return f"needs a C++ compiler; none is installed ({candidates}): install g++ or set CXX"


@cache
def load_library(source: Path, variant: str) -> ctypes.CDLL:
    """Returns the library of a source file; compiles it if it is not in the cache.

    Args:
        source: The file; it may include the headers in its folder.
        variant: One of `VARIANTS`.

    Raises:
        NotImplementedError: No compiler is installed.
        RuntimeError: The compiler rejects the source; the message contains its output.
    """
    command = compiler()
    if command is None:
        raise NotImplementedError(f"{source.stem} {unsupported_reason()}")
    flags = [*FLAGS, *VARIANTS[variant], f"-DVECTOR_FLOATS={VECTOR_FLOATS[variant]}"]
    path = _cache_dir() / f"{source.stem}-{variant}-{_key(source, command, flags)}.so"
    if not path.exists():
        _compile(source, [*command, *flags], path)
    return ctypes.CDLL(str(path))


def _compile(source: Path, command: list[str], path: Path) -> None:
    """Compiles a library and moves it into place atomically, so another process never sees a partial file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        library = Path(folder) / path.name
        run = subprocess.run(
            [*command, str(source), "-o", str(library)], capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise RuntimeError(f"{shlex.join(command)} {source.name} failed:\n{run.stderr.strip()}")
        os.replace(library, path)


def _key(source: Path, command: list[str], flags: list[str]) -> str:
    """Returns a hash of everything a library depends on."""
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False).stdout
    texts = [source.read_text(), *(header.read_text() for header in sorted(source.parent.glob("*.h")))]
    return hashlib.sha256("\0".join([*command, version, *flags, *texts]).encode()).hexdigest()[:24]


def _cache_dir() -> Path:
    if folder := os.environ.get("LINBENCH_CACHE_DIR"):
        return Path(folder) / "cpu"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "linbench" / "cpu"
