"""Fork: the client side of a zygote, and the fresh workers that are forked from it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import replace

from linbench.core.codec import encode_text
from linbench.core.errors import EnvironmentRefused
from linbench.execution.client import WorkerClient
from linbench.execution.orders import ForkOrder, Order, WaitOrder
from linbench.execution.process import START_TIMEOUT_S, Launch, PipePair, log_tail

MAX_REPLY_BYTES = 64
REPLY_TIMEOUT_S = 30.0


class Zygote:
    """A process that has imported torch, from which fresh workers are forked.

    For the CPU only: a CUDA context does not survive a fork.
    """

    def __init__(self, launch: Launch) -> None:
        """Start the process; it imports torch in the background.

        Args:
            launch: The interpreter, the module path and the environment variables.

        Raises:
            EnvironmentRefused: The process cannot be started.
        """
        self._interpreter = launch.interpreter
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the zygote
        self._control, zygote_socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptor = zygote_socket.fileno()
        try:
            zygote = replace(launch, module="linbench.execution.zygote")
            self._process = zygote.popen([str(descriptor)], [descriptor], self._log)
        except EnvironmentRefused:
            self._close()
            raise
        finally:
            zygote_socket.close()
        self._ready = False

    def fork(self, launch: Launch) -> WorkerClient:
        """Return a fresh worker.

        Args:
            launch: The module path, the plugins and the memory limit.

        Raises:
            EnvironmentRefused: The zygote could not be started or has ended, or the worker does not answer.
        """
        self._wait_until_ready()
        log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        pipes = PipePair()
        order = encode_text(Order(fork=ForkOrder(launch.path, launch.plugins)))
        descriptors = [pipes.worker_read, pipes.worker_write, log.fileno()]
        try:
            socket.send_fds(self._control, [order], descriptors)
            pid = int(self._receive_reply(REPLY_TIMEOUT_S))
        except OSError:
            pipes.pipe.close()
            log.close()
            raise EnvironmentRefused("no worker can be forked: the process to fork from has ended") from None
        finally:
            pipes.close_worker_side()
        return WorkerClient(ForkedProcess(self, pid), pipes.pipe, log, launch.max_memory_bytes)

    def _wait_until_ready(self) -> None:
        """Wait until torch is imported."""
        if self._ready:
            return
        try:
            self._receive_reply(START_TIMEOUT_S)
        except OSError:
            reason = log_tail(self._log) or "it does not answer"
            raise EnvironmentRefused(f"no worker can be started with {self._interpreter}: {reason}") from None
        self._ready = True

    def exit_code(self, pid: int) -> int:
        """Wait for a worker to end, and return its exit code.

        Raises:
            OSError: The zygote has ended.
        """
        self._control.send(encode_text(Order(wait=WaitOrder(pid))))
        return int(self._receive_reply(REPLY_TIMEOUT_S))

    def end(self) -> None:
        """End the zygote and every worker that was forked from it."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._close()

    def _close(self) -> None:
        self._control.close()
        self._log.close()

    def _receive_reply(self, timeout_s: float) -> bytes:
        self._control.settimeout(timeout_s)
        reply = self._control.recv(MAX_REPLY_BYTES)
        if not reply:
            raise ConnectionError("the zygote has ended")
        return reply


class ForkedProcess:
    """A worker that a zygote forked."""

    def __init__(self, zygote: Zygote, pid: int) -> None:
        self.pid = pid
        self._zygote = zygote
        self._descriptor = os.pidfd_open(pid)
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return 0 if the process has ended, whatever its exit code, else None."""
        if self._code is not None:
            return self._code
        return 0 if select.select([self._descriptor], [], [], 0)[0] else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the process to end, and return its exit code.

        Raises:
            subprocess.TimeoutExpired: The process has not ended in time.
        """
        if self._code is None:
            start = time.monotonic()
            if not select.select([self._descriptor], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("worker", time.monotonic() - start)
            try:
                self._code = self._zygote.exit_code(self.pid)
            except OSError:  # the zygote has ended, and the exit code is lost
                self._code = -signal.SIGKILL
            os.close(self._descriptor)
        return self._code
