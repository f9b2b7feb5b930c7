"""Pipe: lines between a run and its worker."""

import os
import select
import socket
import time
from collections.abc import Callable

MAX_MESSAGE_BYTES = 2**26
POLL_S = 0.05


class PipeClosed(Exception):
    """The other end is gone."""


class Garbage(Exception):
    """What came is no line of a worker's."""


class Hung(Exception):
    """Nothing came in time."""


class Pipe:
    """One end of two pipes, or of a socket whose descriptor stands for both."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._buffer = bytearray()

    def send(self, line: bytes) -> None:
        """Send one line, whose end is added.

        Raises:
            PipeClosed: The other end is gone.
        """
        data = memoryview(line + b"\n")
        try:
            while data:
                data = data[os.write(self._write_fd, data) :]
        except (BrokenPipeError, OSError) as error:
            raise PipeClosed(str(error)) from None

    def receive(self, timeout_s: float | None = None, watch: Callable[[], None] | None = None) -> bytes:
        """Return the next line, without its end.

        Args:
            timeout_s: Give up after this long; None waits for ever.
            watch: Called every 50 ms while waiting; what it raises ends the wait.

        Raises:
            PipeClosed: The other end is gone.
            Garbage: A line came that is too long.
            Hung: Nothing came in time.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_MESSAGE_BYTES:
                raise Garbage(f"a line of more than {MAX_MESSAGE_BYTES} bytes")
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise Hung
            step = left if watch is None else min(POLL_S, POLL_S if left is None else left)
            ready, _, _ = select.select([self._read_fd], [], [], step)
            if watch is not None:
                watch()
            if ready:
                data = os.read(self._read_fd, 2**16)
                if not data:
                    raise PipeClosed("end of file")
                self._buffer += data
        line, _, rest = self._buffer.partition(b"\n")
        self._buffer = rest
        return bytes(line)

    def readable(self) -> bool:
        """Return whether something can be read now."""
        return bool(select.select([self._read_fd], [], [], 0)[0])

    def close_writing(self) -> None:
        """Tell the other end that no further line comes."""
        if self._write_fd != self._read_fd:
            os.close(self._write_fd)
            self._write_fd = self._read_fd
            return
        with socket.socket(fileno=os.dup(self._write_fd)) as connection:
            connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close both descriptors."""
        for descriptor in {self._read_fd, self._write_fd}:
            os.close(descriptor)
