"""Interrupt: Ctrl-C that is not lost where Python drops exceptions, as in a finalizer."""

import signal
from types import FrameType


class Interrupt:
    """Raises KeyboardInterrupt when Ctrl-C is typed, and again at the next look if that one went nowhere."""

    def __init__(self) -> None:
        self._typed = False

    def __enter__(self) -> "Interrupt":
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def look(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was typed."""
        if self._typed:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._typed = True
        raise KeyboardInterrupt
