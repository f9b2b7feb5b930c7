"""Interrupt: handle Ctrl-C even where Python drops exceptions, as in a finalizer."""

import signal
from types import FrameType


class Interrupt:
    """Raises KeyboardInterrupt at Ctrl-C, and again at the next check if the first exception was dropped."""

    def __init__(self) -> None:
        self._is_interrupted = False

    def __enter__(self) -> "Interrupt":
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was typed."""
        if self._is_interrupted:
            raise KeyboardInterrupt

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._is_interrupted = True
        raise KeyboardInterrupt
