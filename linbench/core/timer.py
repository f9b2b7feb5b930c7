"""Timer names: what a run can be timed with on each kind of device; the timers are in linbench.measure."""

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
    """Return the name of the timer to use on a kind of device: the one given, its default if None.

    Raises:
        UsageError: There is no such timer there; the allowed names are given.
    """
    if name is None:
        return DEFAULT_TIMER[device]
    if TIMERS.get(name) != device:
        allowed = ", ".join(timer for timer, kind in TIMERS.items() if kind == device)
        raise UsageError(f"timer {name!r} is not one of those on {device}: {allowed}")
    return name
