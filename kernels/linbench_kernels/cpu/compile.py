"""C++ sources to a shared library for this CPU, with g++ or clang++; no headers but the compiler's own.

A library is kept on disk under a hash of all that it depends on, so that a process compiles only what no
process before it has. The folder is `$LINBENCH_CACHE_DIR`, or `linbench` in the user's cache folder.
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
VARIANTS = {  # by what torch calls the CPU's vector instructions
    "AVX512": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"],
    "AVX2": ["-mavx2", "-mfma"],
    "DEFAULT": [],
}
VECTOR_FLOATS = {"AVX512": 16, "AVX2": 8, "DEFAULT": 4}
COMPILERS = ("g++", "clang++", "c++")


def variant() -> str:
    """Returns the widest variant that this CPU runs; ATEN_CPU_CAPABILITY narrows it, as torch's own."""
    found = torch.backends.cpu.get_cpu_capability()
    return found if found in VARIANTS else "DEFAULT"


def vector_floats() -> int:
    """Returns how many floats a vector of that variant has."""
    return VECTOR_FLOATS[variant()]


def compiler() -> list[str] | None:
    """Returns the command of the C++ compiler, `$CXX` or the first of g++, clang++ and c++, or None."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else COMPILERS
    for name in names:
        words = shlex.split(name)
        if shutil.which(words[0]):
            return words
    return None


def unsupported_reason() -> str | None:
    """Returns None if kernels can be compiled here, else one line that says what to install."""
    if compiler() is not None:
        return None
    sought = os.environ.get("CXX") or ", ".join(COMPILERS)
    return f"needs a C++ compiler, and found none ({sought}): install g++ or set CXX"


@cache
def load_library(source: Path, variant: str) -> ctypes.CDLL:
    """Returns the library of a source file, compiled if no process has done so before.

    Args:
        source: The file; it may include the headers beside it.
        variant: One of `VARIANTS`.

    Raises:
        NotImplementedError: There is no compiler.
        RuntimeError: The compiler refuses the source; the message holds what it said.
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
    """Writes a library so that another process sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        run = subprocess.run(
            [*command, str(source), "-o", str(made)], capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise RuntimeError(f"{shlex.join(command)} {source.name} failed:\n{run.stderr.strip()}")
        os.replace(made, path)


def _key(source: Path, command: list[str], flags: list[str]) -> str:
    """Returns a hash of everything a library depends on."""
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False).stdout
    texts = [source.read_text(), *(header.read_text() for header in sorted(source.parent.glob("*.h")))]
    return hashlib.sha256("\0".join([*command, version, *flags, *texts]).encode()).hexdigest()[:24]


def _cache_dir() -> Path:
    if given := os.environ.get("LINBENCH_CACHE_DIR"):
        return Path(given) / "cpu"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "linbench" / "cpu"
