"""Telemetry: what else a machine was doing while a row was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reading:
    """The machine at one moment, or since the reading before; None where it does not tell.

    Attributes:
        span_s: Seconds since the reading before.
        load: Load average of one minute, processes.
        others_cores: Processors that processes other than the run's were using since the reading before.
        steal_cores: Processors that the hypervisor gave to others since the reading before.
        cpu_mhz: Mean clock of the processors.
        cpu_c: Highest temperature of the processors, degrees Celsius.
        cpu_throttles: Times that a processor throttled itself since the reading before.
        gpu_sm_mhz: Clock of the GPU's multiprocessors.
        gpu_memory_mhz: Clock of the GPU's memory.
        gpu_c: Temperature of the GPU, degrees Celsius.
        gpu_w: Power that the GPU draws, watts.
        gpu_throttles: Why the GPU runs below the clock that it was asked for.
        gpu_others: Processes other than the run's that compute on the GPU.
    """

    span_s: float
    load: float
    others_cores: float = 0.0
    steal_cores: float = 0.0
    cpu_mhz: float | None = None
    cpu_c: float | None = None
    cpu_throttles: int | None = None
    gpu_sm_mhz: float | None = None
    gpu_memory_mhz: float | None = None
    gpu_c: float | None = None
    gpu_w: float | None = None
    gpu_throttles: tuple[str, ...] = ()
    gpu_others: int = 0


@dataclass(frozen=True)
class Range:
    """The lowest, the middle and the highest of several readings."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Telemetry:
    """What else the machine was doing.

    Attributes:
        before: Before the case.
        after: After it.
        during: By field of `Reading`, over the readings during the row's own turns; empty if it had none.
        throttles: Why clocks were held down in these.
        rounds_again: How many of its rounds were disturbed and measured again.
    """

    before: Reading | None = None
    after: Reading | None = None
    during: Mapping[str, Range] = field(default_factory=dict)
    throttles: tuple[str, ...] = ()
    rounds_again: int = 0
