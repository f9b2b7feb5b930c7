"""Samples: the figures of timed calls, one entry per call in every channel that the timer records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from statistics import median
from typing import Annotated, Self

from annotated_types import Len

from linbench.core.bounds import CLOSED, Natural, Seconds

MOST_SAMPLES = 1_000_000
Numbers = Annotated[tuple[Seconds, ...], Len(0, MOST_SAMPLES)]
Counts = Annotated[tuple[Natural, ...], Len(0, MOST_SAMPLES)]


@dataclass(frozen=True)
class Samples:
    """The figures of timed calls, in the order of the calls.

    A channel that the timer does not record is empty; every other channel has one entry per call. To add a
    channel, add a field here and fill it in a timer: workers, the store and files derive from this list.

    Attributes:
        time_s: Duration of each call, seconds.
        cpu_s: Processor time of all threads of the process during the call, seconds.
        switches: Involuntary context switches of the process's threads.
        contended: 1 where the thread had to wait for the processor during the call, else 0.
        kernels_s: Sum of the times of the call's kernels, seconds.
        enqueue_s: Host time of the call, in which its kernels are enqueued, seconds; the `time_s` of a device
            timer does not include it.

    Raises:
        ValueError: The number of entries of a channel is neither 0 nor the number of calls.
    """

    __pydantic_config__ = CLOSED

    time_s: Numbers = ()
    cpu_s: Numbers = ()
    switches: Counts = ()
    contended: Counts = ()
    kernels_s: Numbers = ()
    enqueue_s: Numbers = ()

    def __post_init__(self) -> None:
        for name in CHANNELS:
            if (count := len(getattr(self, name))) not in (0, len(self)):
                raise ValueError(
                    f"{name} has {count} entries for {len(self)} calls; allowed: none, or one each"
                )

    def __len__(self) -> int:
        return len(self.time_s)

    @classmethod
    def join(cls, parts: Iterable[Samples]) -> Self:
        """Return the concatenated samples of several turns."""
        parts = list(parts)
        return cls(*(tuple(chain.from_iterable(getattr(part, name) for part in parts)) for name in CHANNELS))

    @property
    def contended_share(self) -> float:
        """The fraction of the calls that were contended."""
        return sum(self.contended) / len(self) if len(self) else 0.0


CHANNELS = tuple(field.name for field in fields(Samples))


def median_of_medians(processes: Sequence[Samples], channel: str) -> float | None:
    """Return the median of the processes' medians of a channel, or None where the channel is empty."""
    medians = [median(values) for samples in processes if (values := getattr(samples, channel))]
    return median(medians) if medians else None
