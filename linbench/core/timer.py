"""Timer names: the timers for each kind of device; their implementations are in linbench.measure."""

from typing import Final

from linbench.core.errors import UsageError

TIMERS: Final = {
    "cpu": "cpu",
    "cuda_events_cold": "cuda",
    "cuda_graph_hot": "cuda",
    "cuda_graph_cold": "cuda",
    "cupti": "cuda",
}
DEFAULT_TIMER: Final = {"cpu": "cpu", "cuda": "cuda_events_cold"}


def timer_name(name: str | None, device: str) -> str:
    """Return the name of the timer to use on a kind of device; the device's default if None.

    Raises:
        UsageError: The device has no such timer; the message lists the allowed names.
    """
    if name is None:
        return DEFAULT_TIMER[device]
    if TIMERS.get(name) != device:
        allowed = ", ".join(timer for timer, kind in TIMERS.items() if kind == device)
        raise UsageError(f"timer {name!r} is not one of those on {device}: {allowed}")
    return name
