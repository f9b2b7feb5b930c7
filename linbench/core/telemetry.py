"""Telemetry: the state and load of a machine during the measurement of a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reading:
    """The state of the machine at one moment, or since the previous reading; None where it is not available.

    Attributes:
        span_s: Seconds since the previous reading.
        load: One-minute load average, processes.
        others_cores: Processors used by processes other than the run's since the previous reading.
        steal_cores: Processors that the hypervisor gave to other guests since the previous reading.
        cpu_mhz: Mean clock of the processors.
        cpu_c: Highest temperature of the processors, degrees Celsius.
        cpu_throttles: Throttling events of the processors since the previous reading.
        gpu_sm_mhz: Clock of the GPU's multiprocessors.
        gpu_memory_mhz: Clock of the GPU's memory.
        gpu_c: Temperature of the GPU, degrees Celsius.
        gpu_w: Power draw of the GPU, watts.
        gpu_throttles: Reasons why the GPU runs below the requested clock.
        gpu_others: Number of processes other than the run's that compute on the GPU.
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
    """The lowest, the median and the highest of several readings."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Telemetry:
    """The state and load of the machine during the measurement of a row.

    Attributes:
        before: Reading before the case.
        after: Reading after the case.
        during: Range of each field of `Reading` over the readings during the row's turns; empty without any.
        throttles: Reasons of throttling in these readings.
        rounds_again: Number of its rounds that were disturbed and measured again.
    """

    before: Reading | None = None
    after: Reading | None = None
    during: Mapping[str, Range] = field(default_factory=dict)
    throttles: tuple[str, ...] = ()
    rounds_again: int = 0
