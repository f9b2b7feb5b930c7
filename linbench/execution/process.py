"""Process: how workers are started, and how they end."""

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
    """How workers are started.

    Attributes:
        plugins: Files that they load beside what is installed for them.
        max_memory_bytes: Most resident memory of each.
        path: Where they find modules, before what their interpreter finds of itself; None for nothing more
            than this process's PYTHONPATH. By default they find the same modules as this process.
        variables: Of their environment, beside those of this process.
        interpreter: The Python that runs them.
        module: Of linbench, that they run.
        under: Words of a command that starts them, as ncu does; none starts them as they are.
    """

    plugins: tuple[str, ...]
    max_memory_bytes: int
    path: tuple[str, ...] | None = field(default_factory=lambda: tuple(filter(None, sys.path)))
    variables: Mapping[str, str] = field(default_factory=dict)
    interpreter: str = sys.executable
    module: str = "linbench.execution.worker"
    under: tuple[str, ...] = ()

    def popen(self, words: Sequence[str], fds: Sequence[int], log: IO[bytes]) -> Popen[bytes]:
        """Return a process that runs the module in a session of its own.

        Raises:
            EnvironmentRefused: There is no such interpreter, or it cannot be run.
        """
        path = {} if self.path is None else {"PYTHONPATH": os.pathsep.join(self.path)}
        try:
            return Popen(
                [*self.under, self.interpreter, "-P", "-m", self.module, *words],
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
        """Its number."""
        ...

    def poll(self) -> int | None:
        """Return something else than None if it has ended."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Return the code that it ended with; raises subprocess.TimeoutExpired if it goes on."""
        ...


class Ends:
    """Two pipes between this process and a worker: this process's ends, and the worker's."""

    def __init__(self) -> None:
        read, self.worker_write = os.pipe()
        self.worker_read, write = os.pipe()
        self.pipe = Pipe(read, write)

    def close_worker(self) -> None:
        """Close the worker's ends here, once it has them."""
        os.close(self.worker_read)
        os.close(self.worker_write)


def end_session(process: Process) -> None:
    """End a process and everything that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def cause_of_death(process: Process, log: IO[bytes]) -> str:
    """Return how a process ended, and the last telling line of its log."""
    try:
        code = process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        code = None
    return ": ".join(filter(None, (how_it_ended(code), log_tail(log))))


def log_tail(log: IO[bytes]) -> str:
    """Return the last telling line that a process wrote to its log, or nothing."""
    log.seek(0, os.SEEK_END)
    log.seek(max(0, log.tell() - 2**16))
    lines = log.read().decode("utf-8", "replace").splitlines()
    telling = [line.strip() for line in lines if line.strip() and not line.startswith(LOG_NOISE)]
    return telling[-1][-LOG_TAIL:] if telling else ""


def how_it_ended(code: int | None) -> str:
    """Return how a process ended, by its exit code; None if it goes on."""
    if code is None:
        return "closed its pipe and went on"
    if code >= 0:
        return f"exited with code {code}"
    name = signal.Signals(-code).name if -code in signal.Signals._value2member_map_ else str(-code)
    meaning = {"SIGSEGV": "segmentation fault", "SIGKILL": "killed, maybe for want of memory"}.get(name)
    return f"ended by {name}" + (f" ({meaning})" if meaning else "")
