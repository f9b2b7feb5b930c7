"""Pipe: lines between a run and its worker."""

import os
import select
import socket
import time
from collections.abc import Callable

MAX_MESSAGE_BYTES = 2**26
POLL_S = 0.05


class PipeClosed(Exception):
    """The other end is closed."""


class Garbage(Exception):
    """The data is no line of a worker."""


class ReadTimeout(Exception):
    """No line was received in time."""


class Pipe:
    """One end of two pipes, or of a socket whose descriptor serves as both."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._buffer = bytearray()

    def send(self, line: bytes) -> None:
        """Send one line; the newline is added.

        Raises:
            PipeClosed: The other end is closed.
        """
        data = memoryview(line + b"\n")
        try:
            while data:
                data = data[os.write(self._write_fd, data) :]
        except (BrokenPipeError, OSError) as error:
            raise PipeClosed(str(error)) from None

    def receive(self, timeout_s: float | None = None, watch: Callable[[], None] | None = None) -> bytes:
        """Return the next line, without the newline.

        Args:
            timeout_s: Longest time to wait, seconds; None waits indefinitely.
            watch: Called every 50 ms while waiting; an exception from it ends the wait.

        Raises:
            PipeClosed: The other end is closed.
            Garbage: A line is too long.
            ReadTimeout: No line was received in time.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_MESSAGE_BYTES:
                raise Garbage(f"a line of more than {MAX_MESSAGE_BYTES} bytes")
            remaining_s = None if deadline is None else deadline - time.monotonic()
            if remaining_s is not None and remaining_s <= 0:
                raise ReadTimeout
            wait_s = remaining_s
            if watch is not None:
                wait_s = POLL_S if remaining_s is None else min(POLL_S, remaining_s)
            ready, _, _ = select.select([self._read_fd], [], [], wait_s)
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
        """Return whether data can be read now."""
        return bool(select.select([self._read_fd], [], [], 0)[0])

    def close_writing(self) -> None:
        """Close the writing side, so that the other end reads end of file."""
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
