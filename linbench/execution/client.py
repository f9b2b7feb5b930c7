"""WorkerClient: the client side of one worker: its answers, its memory limit, and how it was lost."""

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
from linbench.execution.pipe import Garbage, Pipe, PipeClosed, ReadTimeout
from linbench.execution.process import START_TIMEOUT_S, Launch, Process, cause_of_death, end_session
from linbench.execution.resident import resident_bytes

A = TypeVar("A", bound=Answer)
Watch = Callable[[], None]


class RequestError(Exception):
    """A request to a worker failed.

    Attributes:
        status: The status of the row.
        reason: The reason, in one line.
        cause: The machine-readable cause.
        errors: The error of each tensor, where a result was compared with its expected values.
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
    """The worker is lost: it died, hung, exceeded its memory limit or sent an invalid message."""


class RequestFailure(RequestError):
    """The worker reports that the request failed, and continues to run."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.status, failure.reason, failure.cause, failure.errors)
        self.must_end = failure.must_end


class _MemoryExceeded(Exception):
    """The worker exceeded its memory limit."""


def spawn(launch: Launch) -> WorkerClient:
    """Return a worker in a fresh interpreter.

    Raises:
        EnvironmentRefused: The worker cannot be started.
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
        except (PipeClosed, ReadTimeout) as error:
            reason = "it does not answer" if isinstance(error, ReadTimeout) else cause_of_death(process, log)
            end_session(process)
            log.close()
            raise EnvironmentRefused(f"a worker cannot be started: {reason}") from None
    return WorkerClient(process, pipe, log, launch.max_memory_bytes)


class WorkerClient:
    """A started worker in its own session; its output goes to a file and its memory is watched."""

    def __init__(self, process: Process, pipe: Pipe, log: IO[bytes], max_memory_bytes: int) -> None:
        """Wait for the worker's `Hello`.

        Raises:
            EnvironmentRefused: The worker does not send it, or speaks another version of the messages.
        """
        self.max_memory_bytes = max_memory_bytes
        self._process = process
        self._pipe = pipe
        self._log = log
        _prefer_for_oom_killer(process.pid)
        try:
            self.about = self._answer(Hello, START_TIMEOUT_S, None)
        except RequestError as error:
            raise EnvironmentRefused(f"a worker cannot be started: {error.reason}") from None
        if self.about.message_version != MESSAGE_VERSION:
            self.end()
            raise EnvironmentRefused(
                f"a worker speaks version {self.about.message_version} of the messages and this linbench "
                f"{MESSAGE_VERSION}; install the same linbench there"
            )

    def ask(self, request: Request[A], timeout_s: float, watch: Watch | None = None) -> A:
        """Return the worker's answer to a request.

        Args:
            request: The request.
            timeout_s: Longest time to wait for the answer, seconds.
            watch: Called every 50 ms while waiting.

        Raises:
            RequestFailure: The request failed.
            WorkerLost: The worker died, hung, exceeded its memory limit or sent an invalid message; it has
                been ended.
        """
        try:
            self._pipe.send(to_line(request))
        except PipeClosed:
            raise self._lose(Status.CRASHED, None) from None
        return self._answer(answer_type(request), timeout_s, watch)

    def close(self, timeout_s: float) -> None:
        """Let the worker exit by itself, since a profiler that started it may wait for that; then end it."""
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
        """Return the next answer, which must be of this kind."""
        try:
            answer = from_line(self._pipe.receive(timeout_s, partial(self._watch, watch)))
        except ReadTimeout:
            raise self._lose(Status.TIMEOUT, f"no answer within {timeout_s:.3g} s") from None
        except _MemoryExceeded as error:
            raise self._lose(Status.OOM, str(error)) from None
        except (Garbage, ValueError) as error:
            raise self._lose(Status.CRASHED, f"sent an invalid message: {error}") from None
        except PipeClosed:
            raise self._lose(Status.CRASHED, None) from None
        if isinstance(answer, Failure):
            raise RequestFailure(answer)
        if not isinstance(answer, kind):
            name = type(answer).__name__
            raise self._lose(Status.CRASHED, f"sent an invalid message: {name} instead of {kind.__name__}")
        return answer

    def _watch(self, watch: Watch | None) -> None:
        if watch is not None:
            watch()
        if self._process.poll() is not None and not self._pipe.readable():
            raise PipeClosed("the worker has ended")  # though a child process may hold the pipe open
        rss_bytes = resident_bytes(self._process.pid)
        if rss_bytes > self.max_memory_bytes:
            limit, rss = (f"{size / 2**30:.3g} GiB" for size in (self.max_memory_bytes, rss_bytes))
            raise _MemoryExceeded(f"used {rss} of memory; the limit is {limit} (--max-memory)")

    def _lose(self, status: Status, reason: str | None) -> WorkerLost:
        """End the worker and return the error to raise."""
        reason = reason or cause_of_death(self._process, self._log)
        self.end()
        return WorkerLost(status, reason)


def _prefer_for_oom_killer(pid: int) -> None:
    """Have the kernel's OOM killer end the worker before the run."""
    with suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000", encoding="ascii")
