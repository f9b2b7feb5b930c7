"""WorkerClient: one worker, as whoever asks it sees it: its answers, or how it died, hung or grew."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

from linbench.core.errors import EnvironmentRefused
from linbench.core.measurement import Cause, Status, TensorError
from linbench.execution.listener import Listener
from linbench.execution.messages import (
    MESSAGE_VERSION,
    Answer,
    Failure,
    Hello,
    Request,
    answer_type,
    from_line,
    to_line,
)
from linbench.execution.pipe import Garbage, Hung, Pipe, PipeClosed
from linbench.execution.process import START_TIMEOUT_S, Launch, Process, cause_of_death, end_session
from linbench.execution.resident import resident_bytes

A = TypeVar("A", bound=Answer)
Watch = Callable[[], None]


class RequestError(Exception):
    """What a worker was asked for was not done.

    Attributes:
        status: How it ended.
        reason: One line.
        cause: What the reason means to a program.
        errors: By tensor, where a result was judged.
    """

    def __init__(
        self,
        status: Status,
        reason: str,
        cause: Cause | None = None,
        errors: Mapping[str, TensorError] | None = None,
    ) -> None:
        self.status = status
        self.reason = " ".join(reason.split()) or str(status)
        self.cause = cause
        self.errors = errors or {}
        super().__init__(self.reason)


class WorkerLost(RequestError):
    """The worker is gone: it died, hung, grew past its bound or answered garbage."""


class RequestFailure(RequestError):
    """The worker says that it could not do it, and goes on."""

    def __init__(self, failed: Failure) -> None:
        super().__init__(failed.status, failed.reason, failed.cause, failed.errors)
        self.must_end = failed.must_end


class _TooLarge(Exception):
    """The worker holds more memory than it may."""


def spawn(launch: Launch) -> WorkerClient:
    """Return a worker in a fresh interpreter.

    Raises:
        EnvironmentRefused: It cannot be started.
    """
    log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
    with Listener() as listener:
        try:
            process = launch.popen([listener.path, *launch.plugins], (), log)
        except EnvironmentRefused:
            log.close()
            raise
        try:
            pipe = listener.accept(process, START_TIMEOUT_S)
        except (PipeClosed, Hung) as error:
            reason = "it does not answer" if isinstance(error, Hung) else cause_of_death(process, log)
            end_session(process)
            log.close()
            raise EnvironmentRefused(f"a worker cannot be started: {reason}") from None
    return WorkerClient(process, pipe, log, launch.max_memory_bytes)


class WorkerClient:
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
            self.about = self._answer(Hello, START_TIMEOUT_S, None)
        except RequestError as lost:
            raise EnvironmentRefused(f"a worker cannot be started: {lost.reason}") from None
        if self.about.message_version != MESSAGE_VERSION:
            self.end()
            raise EnvironmentRefused(
                f"a worker speaks version {self.about.message_version} of the messages and this linbench "
                f"{MESSAGE_VERSION}; install the same linbench there"
            )

    def ask(self, request: Request[A], timeout_s: float, watch: Watch | None = None) -> A:
        """Return the worker's answer to a request.

        Args:
            request: What to do.
            timeout_s: Give up after this long.
            watch: Called every 50 ms meanwhile.

        Raises:
            RequestFailure: It could not be done.
            WorkerLost: The worker died, hung, grew past its bound or answered garbage; it has been ended.
        """
        try:
            self._pipe.send(to_line(request))
        except PipeClosed:
            raise self._lost(Status.CRASHED, None) from None
        return self._answer(answer_type(request), timeout_s, watch)

    def close(self, timeout_s: float) -> None:
        """Let the worker come to its own end, for which what it was started under may wait; then end it."""
        self._pipe.close_writing()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=timeout_s)
        self.end()

    def end(self) -> None:
        """End the worker and everything that it started."""
        end_session(self._process)
        self._pipe.close()
        self._log.close()

    def _answer(self, kind: type[A], timeout_s: float, watch: Watch | None) -> A:
        """Return the next answer, which is of this kind."""
        try:
            answer = from_line(self._pipe.receive(timeout_s, partial(self._watch, watch)))
        except Hung:
            raise self._lost(Status.TIMEOUT, f"no answer within {timeout_s:.3g} s") from None
        except _TooLarge as large:
            raise self._lost(Status.OOM, str(large)) from None
        except (Garbage, ValueError) as garbage:
            raise self._lost(Status.CRASHED, f"answered garbage: {garbage}") from None
        except PipeClosed:
            raise self._lost(Status.CRASHED, None) from None
        if isinstance(answer, Failure):
            raise RequestFailure(answer)
        if not isinstance(answer, kind):
            name = type(answer).__name__
            raise self._lost(Status.CRASHED, f"answered garbage: {name} where {kind.__name__} was due")
        return answer

    def _watch(self, further: Watch | None) -> None:
        if further is not None:
            further()
        if self._process.poll() is not None and not self._pipe.readable():
            raise PipeClosed("the worker has ended")  # though a child of it may hold the pipe open
        held = resident_bytes(self._process.pid)
        if held > self.max_memory_bytes:
            most, now = (f"{size / 2**30:.3g} GiB" for size in (self.max_memory_bytes, held))
            raise _TooLarge(f"held {now} of memory; it may hold {most} (--max-memory)")

    def _lost(self, status: Status, reason: str | None) -> WorkerLost:
        reason = reason or cause_of_death(self._process, self._log)
        self.end()
        return WorkerLost(status, reason)


def _offer_to_the_kernel(pid: int) -> None:
    """Make the worker, not the run, what the kernel ends first when memory runs out."""
    with suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000", encoding="ascii")
