"""Listener: where a started worker finds whoever asks it, through whatever command starts it."""

from __future__ import annotations

import os
import select
import shutil
import socket
import tempfile
import time

from linbench.execution.pipe import POLL_S, Hung, Pipe, PipeClosed
from linbench.execution.process import Process


class Listener:
    """A socket in a folder of this user's alone; use it as a context manager, so that it goes in the end.

    Descriptors that are handed on would do for a worker that is started directly; a profiler that starts it
    may close them.
    """

    def __enter__(self) -> Listener:
        self._folder = tempfile.mkdtemp(prefix="linbench-")
        self.path = os.path.join(self._folder, "worker")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(self.path)
        self._socket.listen(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def accept(self, process: Process, timeout_s: float) -> Pipe:
        """Return the pipe to the worker that a process becomes.

        Raises:
            PipeClosed: The process ended before.
            Hung: It did not come in time.
        """
        deadline = time.monotonic() + timeout_s
        while not select.select([self._socket], [], [], POLL_S)[0]:
            if process.poll() is not None:
                raise PipeClosed("the worker has ended")
            if time.monotonic() > deadline:
                raise Hung
        connection, _ = self._socket.accept()
        descriptor = connection.detach()
        return Pipe(descriptor, descriptor)


def connect(path: str) -> Pipe:
    """Return a worker's end of the pipe to whoever listens at a path."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(path)
    descriptor = connection.detach()
    return Pipe(descriptor, descriptor)
