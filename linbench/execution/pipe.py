"""Pipe: messages between a run and its worker, one JSON object a line; never pickle."""

import json
import os
import select
import time
from collections.abc import Callable, Mapping
from typing import Any

PROTOCOL = 1  # of the messages; a worker that speaks another one is refused
MAX_MESSAGE_BYTES = 2**26
POLL_S = 0.05


class PipeClosed(Exception):
    """The other end is gone."""


class Garbage(Exception):
    """What came is not a message."""


class Hung(Exception):
    """Nothing came in time."""


class Pipe:
    """One end of a pair of file descriptors."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._buffer = bytearray()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message.

        Raises:
            PipeClosed: The other end is gone.
        """
        data = memoryview(json.dumps(message).encode() + b"\n")
        try:
            while data:
                data = data[os.write(self._write_fd, data) :]
        except (BrokenPipeError, OSError) as error:
            raise PipeClosed(str(error)) from None

    def receive(
        self, timeout_s: float | None = None, watch: Callable[[], None] | None = None
    ) -> dict[str, Any]:
        """Return the next message.

        Args:
            timeout_s: Give up after this long; None waits for ever.
            watch: Called every 50 ms while waiting; what it raises ends the wait.

        Raises:
            PipeClosed: The other end is gone.
            Garbage: A line came that is not a JSON object, or one that is too long.
            Hung: Nothing came in time.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_MESSAGE_BYTES:
                raise Garbage(f"a message of more than {MAX_MESSAGE_BYTES} bytes")
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
        try:
            message = json.loads(line)
        except ValueError:
            raise Garbage(repr(bytes(line[:80]))) from None
        if not isinstance(message, dict):
            raise Garbage(repr(bytes(line[:80])))
        return message

    def readable(self) -> bool:
        """Return whether something can be read now."""
        return bool(select.select([self._read_fd], [], [], 0)[0])

    def close(self) -> None:
        """Close both descriptors."""
        for descriptor in {self._read_fd, self._write_fd}:
            os.close(descriptor)
