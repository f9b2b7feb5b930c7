"""Clock: a monotonic clock on the time of a CUDA device."""

from __future__ import annotations

from linbench.measure.device import Device


class DeviceClock:
    """A clock that waits until the device is idle, then reads the device's own time.

    CUDA events only measure the time between two events, in float32 milliseconds: each reading adds the time
    since the previous one, so that the resolution between two readings stays about 0.5 us, however long the
    clock has run.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._last = device.record()
        device.synchronize()
        self._seconds = 0.0

    def __call__(self) -> float:
        """Return the seconds since the clock was created."""
        event = self._device.record()
        self._device.synchronize()
        self._seconds += self._device.elapsed_s(self._last, event)
        self._last = event
        return self._seconds
