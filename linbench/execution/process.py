"""WorkerProcess: a run's handle on one worker, and what becomes of it when it dies, hangs or grows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import IO, Any, Protocol

import psutil

from linbench.core.errors import EnvironmentRefused
from linbench.core.measurement import Status
from linbench.execution.pipe import PROTOCOL, Garbage, Hung, Pipe, PipeClosed

START_TIMEOUT_S = 300.0
FREE_SHARE = 0.8
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LOG_TAIL = 400
LOG_NOISE = ("  ", "Extension modules:", "USDT:", "Current thread", "Thread 0x")


class WorkerLost(Exception):
    """The worker is gone; the row that was in flight gets this status and reason."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class _TooLarge(Exception):
    """The worker holds more memory than it may."""


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
    """

    plugins: tuple[str, ...]
    max_memory_bytes: int
    path: tuple[str, ...] | None = field(default_factory=lambda: tuple(filter(None, sys.path)))
    variables: Mapping[str, str] = field(default_factory=dict)
    interpreter: str = sys.executable

    def popen(self, module: str, words: Sequence[str], fds: Sequence[int], log: IO[bytes]) -> Popen[bytes]:
        """Return a process that runs a module of linbench's in a session of its own.

        Raises:
            EnvironmentRefused: There is no such interpreter, or it cannot be run.
        """
        path = {} if self.path is None else {"PYTHONPATH": os.pathsep.join(self.path)}
        try:
            return Popen(
                [self.interpreter, "-P", "-m", module, *words],
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


def spawn(launch: Launch) -> WorkerProcess:
    """Return a worker in a fresh interpreter.

    Raises:
        EnvironmentRefused: It cannot be started.
    """
    log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
    ends = Ends()
    fds = (ends.worker_read, ends.worker_write)
    try:
        process = launch.popen("linbench.execution.worker", [*map(str, fds), *launch.plugins], fds, log)
    except EnvironmentRefused:
        ends.pipe.close()
        log.close()
        raise
    finally:
        ends.close_worker()
    return WorkerProcess(process, ends.pipe, log, launch.max_memory_bytes)


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


class WorkerProcess:
    """A started worker in a session of its own, its output kept in a file, its memory watched."""

    def __init__(self, process: Process, pipe: Pipe, log: IO[bytes], max_memory_bytes: int) -> None:
        """Wait for the worker's first word.

        Raises:
            EnvironmentRefused: It does not come, or the worker speaks another protocol.
        """
        self.max_memory_bytes = max_memory_bytes
        self._process = process
        self._pipe = pipe
        self._log = log
        _offer_to_the_kernel(process.pid)
        try:
            self.about = self._ask_nothing()
        except WorkerLost as lost:
            raise EnvironmentRefused(f"a worker cannot be started: {lost.reason}") from None
        spoken = self.about.get("protocol")
        if spoken != PROTOCOL:
            self.end()
            raise EnvironmentRefused(
                f"a worker speaks protocol {spoken} and this linbench {PROTOCOL}; install the same linbench "
                "there"
            )

    def ask(
        self, message: Mapping[str, Any], timeout_s: float, watch: Callable[[], None] | None = None
    ) -> dict[str, Any]:
        """Return the worker's answer to a message.

        Args:
            message: What to do.
            timeout_s: Give up after this long.
            watch: Called every 50 ms meanwhile.

        Raises:
            WorkerLost: It died, hung, grew past its bound or answered garbage; it has been ended.
        """
        try:
            self._pipe.send(message)
            answer = self._pipe.receive(timeout_s, partial(self._watch, watch))
            answer["status"] = Status(answer["status"])
            return answer
        except Hung:
            raise self._lost(Status.TIMEOUT, f"no answer within {timeout_s:.3g} s") from None
        except _TooLarge as large:
            raise self._lost(Status.OOM, str(large)) from None
        except (Garbage, KeyError, ValueError) as garbage:
            raise self._lost(Status.CRASHED, f"answered garbage: {garbage}") from None
        except PipeClosed:
            raise self._lost(Status.CRASHED, None) from None

    def end(self) -> None:
        """End the worker and everything that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._pipe.close()
        self._log.close()

    def _ask_nothing(self) -> dict[str, Any]:
        try:
            return self._pipe.receive(START_TIMEOUT_S, self._watch)
        except PipeClosed:
            raise self._lost(Status.CRASHED, None) from None
        except (Garbage, Hung, _TooLarge) as error:
            raise self._lost(Status.CRASHED, str(error) or "it does not answer") from None

    def _watch(self, further: Callable[[], None] | None = None) -> None:
        if further is not None:
            further()
        if self._process.poll() is not None and not self._pipe.readable():
            raise PipeClosed("the worker has ended")  # though a child of it may hold the pipe open
        held = resident_bytes(self._process.pid)
        if held > self.max_memory_bytes:
            most, now = (f"{size / 2**30:.3g} GiB" for size in (self.max_memory_bytes, held))
            raise _TooLarge(f"held {now} of memory; it may hold {most} (--max-memory)")

    def _lost(self, status: Status, reason: str | None) -> WorkerLost:
        if reason is None:
            try:
                code = self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                code = None
            reason = _how_it_ended(code)
            tail = log_tail(self._log)
            if tail:
                reason = f"{reason}: {tail}"
        self.end()
        return WorkerLost(status, reason)


def log_tail(log: IO[bytes]) -> str:
    """Return the last telling line that a process wrote to its log, or nothing."""
    log.seek(0, os.SEEK_END)
    log.seek(max(0, log.tell() - 2**16))
    lines = log.read().decode("utf-8", "replace").splitlines()
    telling = [line.strip() for line in lines if line.strip() and not line.startswith(LOG_NOISE)]
    return telling[-1][-LOG_TAIL:] if telling else ""


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process and of all that it started; 0 if it is gone.

    It is asked every 50 ms beside what is being timed, so it reads /proc by itself, in 60 us; psutil's
    children look through every process of the machine, which takes a millisecond or more.
    """
    total = 0
    for member in _family(pid):
        with suppress(OSError):
            pages = Path(f"/proc/{member}/statm").read_text(encoding="ascii").split()[1]
            total += int(pages) * PAGE_BYTES
    return total


def _family(pid: int) -> list[int]:
    """Return a process and all that it started, as far as they are still there."""
    found = [pid]
    for parent in found:  # which grows meanwhile
        with suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                children = Path(f"/proc/{parent}/task/{task}/children").read_text(encoding="ascii")
                found += map(int, children.split())
    return found


def safe_memory_bytes() -> int:
    """Return 80% of the memory that is free now, within the control group's bound if there is one."""
    free: int = psutil.virtual_memory().available
    try:
        bound = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        if bound != "max":
            used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
            free = max(0, min(free, int(bound) - used + _reclaimable_bytes()))
    except (OSError, ValueError):
        pass
    return int(FREE_SHARE * free)


def _reclaimable_bytes() -> int:
    """Return the page cache that the control group can drop at once."""
    stat = Path("/sys/fs/cgroup/memory.stat").read_text(encoding="ascii")
    return next((int(line.split()[1]) for line in stat.splitlines() if line.startswith("inactive_file ")), 0)


def _how_it_ended(code: int | None) -> str:
    if code is None:
        return "closed its pipe and went on"
    if code >= 0:
        return f"exited with code {code}"
    name = signal.Signals(-code).name if -code in signal.Signals._value2member_map_ else str(-code)
    meaning = {"SIGSEGV": "segmentation fault", "SIGKILL": "killed, maybe for want of memory"}.get(name)
    return f"ended by {name}" + (f" ({meaning})" if meaning else "")


def _offer_to_the_kernel(pid: int) -> None:
    """Make the worker, not the run, what the kernel ends first when memory runs out."""
    with suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000", encoding="ascii")
