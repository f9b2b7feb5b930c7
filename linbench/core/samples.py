"""Samples: what timed calls gave, one entry per call in every channel that the timer tells."""

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
    """What timed calls gave, in the order in which they were made.

    A channel that the timer does not tell is empty; any other has an entry per call. A new channel is a field
    here and what a timer fills it with: workers, the store and files take it from this list.

    Attributes:
        time_s: How long each call took, seconds.
        cpu_s: Processor time of all threads of the process meanwhile, seconds.
        switches: Times that a thread of the process was switched out against its will.
        contended: 1 where something else had the processor meanwhile, else 0.
        kernels_s: Sum of the times of the call's kernels, seconds.
        enqueue_s: Time that the host took to make the call, and so to enqueue its kernels, seconds; a device
            timer's `time_s` does not hold it.

    Raises:
        ValueError: A channel has neither no entry nor one per call.
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
                raise ValueError(f"{name} has {count} entries, where {len(self)} calls have none or one each")

    def __len__(self) -> int:
        return len(self.time_s)

    @classmethod
    def joined(cls, parts: Iterable[Samples]) -> Self:
        """Return the samples of several turns, one after another."""
        parts = list(parts)
        return cls(*(tuple(chain.from_iterable(getattr(part, name) for part in parts)) for name in CHANNELS))

    @property
    def contended_share(self) -> float:
        """The share of the calls that were disturbed."""
        return sum(self.contended) / len(self) if len(self) else 0.0


CHANNELS = tuple(field.name for field in fields(Samples))


def median_of_medians(processes: Sequence[Samples], channel: str) -> float | None:
    """Return the median of the processes' medians of a channel, or None where none has it."""
    medians = [median(values) for samples in processes if (values := getattr(samples, channel))]
    return median(medians) if medians else None
