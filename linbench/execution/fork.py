"""Fork: a run's handle on a zygote, and fresh workers that are forked from it."""

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
from linbench.execution.process import START_TIMEOUT_S, Ends, Launch, log_tail

MAX_REPLY_BYTES = 64
REPLY_TIMEOUT_S = 30.0


class Zygote:
    """A process that has imported torch, from which fresh workers are forked.

    For the CPU alone: a CUDA context does not survive a fork.
    """

    def __init__(self, launch: Launch) -> None:
        """Start it; it goes on to import torch while this returns.

        Args:
            launch: By which interpreter, with which modules and variables.

        Raises:
            EnvironmentRefused: It cannot be started.
        """
        self._interpreter = launch.interpreter
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the zygote
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptor = theirs.fileno()
        try:
            zygote = replace(launch, module="linbench.execution.zygote")
            self._process = zygote.popen([str(descriptor)], [descriptor], self._log)
        except EnvironmentRefused:
            self._close()
            raise
        finally:
            theirs.close()
        self._ready = False

    def fork(self, launch: Launch) -> WorkerClient:
        """Return a fresh worker.

        Args:
            launch: With which modules and plugins, and how much memory.

        Raises:
            EnvironmentRefused: The zygote could not be started or has ended, or the worker does not answer.
        """
        self._await()
        log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        ends = Ends()
        order = encode_text(Order(fork=ForkOrder(launch.path, launch.plugins)))
        descriptors = [ends.worker_read, ends.worker_write, log.fileno()]
        try:
            socket.send_fds(self._control, [order], descriptors)
            pid = int(self._reply(REPLY_TIMEOUT_S))
        except OSError:
            ends.pipe.close()
            log.close()
            raise EnvironmentRefused("no worker can be forked: the process to fork from has ended") from None
        finally:
            ends.close_worker()
        return WorkerClient(ForkedProcess(self, pid), ends.pipe, log, launch.max_memory_bytes)

    def _await(self) -> None:
        """Wait until torch is imported."""
        if self._ready:
            return
        try:
            self._reply(START_TIMEOUT_S)
        except OSError:
            said = log_tail(self._log) or "it does not answer"
            raise EnvironmentRefused(f"no worker can be started with {self._interpreter}: {said}") from None
        self._ready = True

    def code(self, pid: int) -> int:
        """Return the code that a worker ended with; wait for it.

        Raises:
            OSError: The zygote is gone.
        """
        self._control.send(encode_text(Order(wait=WaitOrder(pid))))
        return int(self._reply(REPLY_TIMEOUT_S))

    def end(self) -> None:
        """End the zygote and every worker that was forked from it."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._close()

    def _close(self) -> None:
        self._control.close()
        self._log.close()

    def _reply(self, timeout_s: float) -> bytes:
        self._control.settimeout(timeout_s)
        found = self._control.recv(MAX_REPLY_BYTES)
        if not found:
            raise ConnectionError("the zygote has ended")
        return found


class ForkedProcess:
    """A worker that a zygote forked."""

    def __init__(self, zygote: Zygote, pid: int) -> None:
        self.pid = pid
        self._zygote = zygote
        self._descriptor = os.pidfd_open(pid)
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return 0 if it has ended, whatever the code, else None."""
        if self._code is not None:
            return self._code
        return 0 if select.select([self._descriptor], [], [], 0)[0] else None

    def wait(self, timeout: float | None = None) -> int:
        """Return the code that it ended with.

        Raises:
            subprocess.TimeoutExpired: It has not ended.
        """
        if self._code is None:
            start = time.monotonic()
            if not select.select([self._descriptor], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("worker", time.monotonic() - start)
            try:
                self._code = self._zygote.code(self.pid)
            except OSError:  # the zygote took the code with it
                self._code = -signal.SIGKILL
            os.close(self._descriptor)
        return self._code
