"""Process: start worker processes, end them, and describe how they ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from subprocess import Popen
from typing import IO, Protocol

from linbench.core.errors import EnvironmentRefused
from linbench.execution.pipe import Pipe

START_TIMEOUT_S = 300.0
LOG_TAIL = 400
LOG_NOISE = ("  ", "Extension modules:", "USDT:", "Current thread", "Thread 0x")


@dataclass(frozen=True)
class Launch:
    """The command and the environment that start workers.

    Attributes:
        plugins: Plugin files to load in addition to the installed plugins.
        max_memory_bytes: Memory limit of each worker (RSS).
        path: Module path, which precedes the interpreter's own; None for this process's PYTHONPATH only. The
            default is the module path of this process.
        variables: Environment variables, in addition to those of this process.
        interpreter: The Python interpreter that runs them.
        module: The module of linbench that they run.
        prefix: Arguments of a command that starts the interpreter, such as ncu; empty to start it directly.
    """

    plugins: tuple[str, ...]
    max_memory_bytes: int
    path: tuple[str, ...] | None = field(default_factory=lambda: tuple(filter(None, sys.path)))
    variables: Mapping[str, str] = field(default_factory=dict)
    interpreter: str = sys.executable
    module: str = "linbench.execution.worker"
    prefix: tuple[str, ...] = ()

    def popen(self, arguments: Sequence[str], fds: Sequence[int], log: IO[bytes]) -> Popen[bytes]:
        """Return a process that runs the module in its own session.

        Raises:
            EnvironmentRefused: The interpreter does not exist or cannot be run.
        """
        path = {} if self.path is None else {"PYTHONPATH": os.pathsep.join(self.path)}
        try:
            return Popen(
                [*self.prefix, self.interpreter, "-P", "-m", self.module, *arguments],
                env={**os.environ, **path, **self.variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=fds,
                start_new_session=True,
            )
        except OSError as error:
            raise EnvironmentRefused(f"{self.interpreter} cannot be run: {error.strerror}") from None


class Process(Protocol):
    """A process that this one can end and wait for."""

    @property
    def pid(self) -> int:
        """The process id."""
        ...

    def poll(self) -> int | None:
        """Return None if the process runs, and another value if it has ended."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code; raise subprocess.TimeoutExpired if the process continues to run."""
        ...


class PipePair:
    """Two pipes between this process and a worker: this process's ends, and the worker's."""

    def __init__(self) -> None:
        read_fd, self.worker_write = os.pipe()
        self.worker_read, write_fd = os.pipe()
        self.pipe = Pipe(read_fd, write_fd)

    def close_worker_side(self) -> None:
        """Close the worker's ends in this process, once the worker has them."""
        os.close(self.worker_read)
        os.close(self.worker_write)


def end_session(process: Process) -> None:
    """End a process and everything that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def cause_of_death(process: Process, log: IO[bytes]) -> str:
    """Return how a process ended, with the last informative line of its log."""
    try:
        code = process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        code = None
    return ": ".join(filter(None, (describe_exit(code), log_tail(log))))


def log_tail(log: IO[bytes]) -> str:
    """Return the last informative line of a process's log, or an empty string."""
    log.seek(0, os.SEEK_END)
    log.seek(max(0, log.tell() - 2**16))
    lines = log.read().decode("utf-8", "replace").splitlines()
    informative = [line.strip() for line in lines if line.strip() and not line.startswith(LOG_NOISE)]
    return informative[-1][-LOG_TAIL:] if informative else ""


def describe_exit(code: int | None) -> str:
    """Return how a process ended, by its exit code; None if it continues to run."""
    if code is None:
        return "closed its pipe and continued to run"
    if code >= 0:
        return f"exited with code {code}"
    name = signal.Signals(-code).name if -code in signal.Signals._value2member_map_ else str(-code)
    meaning = {"SIGSEGV": "segmentation fault", "SIGKILL": "killed, possibly for lack of memory"}.get(name)
    return f"ended by {name}" + (f" ({meaning})" if meaning else "")
