"""CUDA C++ kernels compiled with g++ and run on the CPU, one fiber per CUDA thread (see cuda_emulation.h)."""

import ctypes
import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HEADER_DIR = Path(__file__).parent
GXX = shutil.which("g++")
FLAGS = (
    *("-std=c++20", "-O1", "-march=native", "-fPIC", "-shared", "-DLINBENCH_EMULATION"),
    # Both of these features would treat a jump between fibers as an attack.
    *("-U_FORTIFY_SOURCE", "-fcf-protection=none"),
)


@dataclass(frozen=True)
class Schedule:
    """The execution order, which is undefined on a GPU.

    Attributes:
        descending: Whether the highest warp runs first between barriers, instead of the lowest.
        late_copies: Whether asynchronous copies complete at the wait, instead of immediately.
    """

    descending: bool
    late_copies: bool


class EmulatedProgram:
    """The kernels of one CUDA source, compiled with one set of macros."""

    def __init__(
        self, source: Path, defines: Mapping[str, str], kernels: Sequence[str], folder: Path
    ) -> None:
        assert GXX is not None, "g++ is not installed"
        macros = [f"-D{name}={value}" for name, value in defines.items()]
        library = folder / f"{hashlib.sha256(' '.join(macros).encode()).hexdigest()[:16]}.so"
        if not library.exists():
            lines = [f'#include "{source}"', *(f"EMULATED_KERNEL({kernel})" for kernel in kernels)]
            unfinished = library.with_suffix(f".{os.getpid()}")
            subprocess.run(
                [GXX, *FLAGS, *macros, f"-I{HEADER_DIR}", "-x", "c++", "-", "-o", str(unfinished)],
                input="\n".join(lines) + "\n",
                text=True,
                check=True,
            )
            unfinished.replace(library)
        self._library = ctypes.CDLL(str(library))
        self._library.emulated_flops.restype = ctypes.c_int64

    def launch(
        self,
        kernel: str,
        grid: tuple[int, int],
        threads: int,
        shared_bytes: int,
        arguments: Sequence[int],
        schedule: Schedule,
    ) -> int:
        """Runs every block of a grid; arguments are addresses and 64-bit integers.

        Returns the number of operations of its mma and fmaf.
        """
        run = getattr(self._library, f"emulate_{kernel}")
        run.restype = ctypes.c_char_p
        problem = run(
            (ctypes.c_uint * 2)(*grid),
            ctypes.c_int(threads),
            ctypes.c_size_t(shared_bytes),
            (ctypes.c_int64 * len(arguments))(*arguments),
            ctypes.c_bool(schedule.descending),
            ctypes.c_bool(schedule.late_copies),
        )
        if problem is not None:
            raise RuntimeError(f"{kernel}: {problem.decode()}")
        return int(self._library.emulated_flops())
