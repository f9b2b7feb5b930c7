"""Listener: the socket to which a started worker connects, whatever command starts it."""

from __future__ import annotations

import os
import select
import shutil
import socket
import tempfile
import time

from linbench.execution.pipe import POLL_S, Pipe, PipeClosed, ReadTimeout
from linbench.execution.process import Process


class Listener:
    """A socket in a private folder; use it as a context manager, which removes the folder.

    A worker that is started directly could inherit descriptors instead; a profiler that starts it may close
    them.
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
        """Return the pipe to the worker that a process starts.

        Raises:
            PipeClosed: The process ended before it connected.
            ReadTimeout: The worker did not connect in time.
        """
        deadline = time.monotonic() + timeout_s
        while not select.select([self._socket], [], [], POLL_S)[0]:
            if process.poll() is not None:
                raise PipeClosed("the worker has ended")
            if time.monotonic() > deadline:
                raise ReadTimeout
        connection, _ = self._socket.accept()
        descriptor = connection.detach()
        return Pipe(descriptor, descriptor)


def connect(path: str) -> Pipe:
    """Return the worker's end of the pipe to the listener at a path."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(path)
    descriptor = connection.detach()
    return Pipe(descriptor, descriptor)
