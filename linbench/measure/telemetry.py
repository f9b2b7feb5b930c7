"""Telemetry: what else the machine was doing while it was measured; read in the parent, without torch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import psutil

from linbench.core.telemetry import Range, Reading

T = TypeVar("T")

DISTURBED_SHARE = 0.1
LEAST_SPAN_S = 0.2
THROTTLES = {
    "SwPowerCap": "power cap",
    "HwSlowdown": "hardware slowdown",
    "SwThermalSlowdown": "software thermal slowdown",
    "HwThermalSlowdown": "hardware thermal slowdown",
    "HwPowerBrakeSlowdown": "power brake",
}


@dataclass(frozen=True)
class Counters:
    """What only grows: seconds of the clock, of all processors that may be used, and of the run itself.

    Attributes:
        clock_s: Monotonic clock.
        busy_s: Processor time of everything, stolen time left out.
        steal_s: Processor time that the hypervisor gave to others.
        ours_s: Processor time of the run's own processes.
        throttles: Times that a processor throttled itself, or None.
    """

    clock_s: float
    busy_s: float
    steal_s: float
    ours_s: float
    throttles: int | None = None


class Monitor:
    """Reads the machine; what a reading says of other processes covers the time since the one before."""

    def __init__(
        self,
        gpu: str | None = None,
        *,
        counters: Callable[[], Counters] | None = None,
        card: Callable[[Reading, str], Reading] | None = None,
    ) -> None:
        """Make the first reading of the counters.

        Args:
            gpu: UUID of the GPU that is measured, if one is.
            counters: Reads the host's counters.
            card: Adds to a reading what a GPU says.
        """
        self._gpu = gpu
        self._counters = counters or host_counters
        self._card = card or with_gpu
        self._last = self._counters()

    def read(self) -> Reading:
        """Return a reading."""
        before, now = self._last, self._counters()
        self._last = now
        elapsed_s = max(now.clock_s - before.clock_s, 1e-9)
        ours_s = max(0.0, now.ours_s - before.ours_s)  # a process that ended takes its time with it
        throttles = None
        if now.throttles is not None and before.throttles is not None:
            throttles = now.throttles - before.throttles
        reading = Reading(
            span_s=elapsed_s,
            load=os.getloadavg()[0],
            others_cores=max(0.0, now.busy_s - before.busy_s - ours_s) / elapsed_s,
            steal_cores=max(0.0, now.steal_s - before.steal_s) / elapsed_s,
            cpu_mhz=cpu_mhz(),
            cpu_c=cpu_temperature(),
            cpu_throttles=throttles,
        )
        return self._card(reading, self._gpu) if self._gpu else reading

    @property
    def age_s(self) -> float:
        """Seconds since the last reading."""
        return time.monotonic() - self._last.clock_s


def disturbance(readings: Sequence[Reading], cores: int) -> str | None:
    """Return what disturbed a stretch of time, in a few words, or None.

    It is disturbed where other processes, or the hypervisor, had more than 10% of its processors; the
    counters tick every 10 ms, so that less than `LEAST_SPAN_S` tells nothing.
    """
    span_s = sum(reading.span_s for reading in readings)
    if span_s < LEAST_SPAN_S:
        return None
    for name, words in (("others_cores", "other processes"), ("steal_cores", "the hypervisor")):
        mean = sum(getattr(reading, name) * reading.span_s for reading in readings) / span_s
        if mean > DISTURBED_SHARE * cores:
            return f"{words} used {mean:.2g} of {cores} processors"
    others = max(reading.gpu_others for reading in readings)
    return f"{others} other processes computed on the GPU" if others else None


def summary(readings: Sequence[Reading]) -> dict[str, Range]:
    """Return the lowest, the middle and the highest of each number that was read, four digits each."""
    ranges = {}
    for name in (field.name for field in fields(Reading) if field.name != "gpu_throttles"):
        values = [value for reading in readings if (value := getattr(reading, name)) is not None]
        if values:
            ranges[name] = Range(*(short(end) for end in (min(values), median(values), max(values))))
    return ranges


def rounded(reading: Reading) -> Reading:
    """Return a reading with four digits of each number, as it is kept."""
    floats: dict[str, Any] = {
        name: short(value) for name, value in vars(reading).items() if isinstance(value, float)
    }
    return replace(reading, **floats)


def short(value: float) -> float:
    """Return a number with four significant digits."""
    return float(f"{value:.4g}")


def throttle_reasons(readings: Iterable[Reading]) -> tuple[str, ...]:
    """Return every reason for which clocks were held down."""
    reasons = {reason for reading in readings for reason in reading.gpu_throttles}
    if any(reading.cpu_throttles for reading in readings):
        reasons.add("processor too hot")
    return tuple(sorted(reasons))


def host_counters() -> Counters:
    """Return the counters of this process's processors, and of it and all that it started."""
    usable = os.sched_getaffinity(0)
    every = psutil.cpu_times(percpu=True)
    times = [found for number, found in enumerate(every) if number in usable] or every
    busy_s = sum(found.user + found.nice + found.system + found.irq + found.softirq for found in times)
    ours_s = 0.0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.Error):
            spent = process.cpu_times()
            ours_s += spent.user + spent.system
    return Counters(
        clock_s=time.monotonic(),
        busy_s=busy_s,
        steal_s=sum(found.steal for found in times),
        ours_s=ours_s,
        throttles=_throttle_counts(),
    )


def cpu_mhz() -> float | None:
    """Return the mean clock of the processors, MHz, or None."""
    try:
        found = psutil.cpu_freq()
    except (OSError, NotImplementedError, ValueError):
        return None
    return float(found.current) if found is not None and found.current else None


def cpu_temperature() -> float | None:
    """Return the highest temperature that the processors report, degrees Celsius, or None."""
    try:
        sensors = psutil.sensors_temperatures()
    except (OSError, AttributeError, ValueError):
        return None
    chips = [
        chip for name in ("coretemp", "k10temp", "zenpower", "cpu_thermal") for chip in sensors.get(name, ())
    ]
    return max((float(chip.current) for chip in chips), default=None)


def with_gpu(reading: Reading, uuid: str) -> Reading:
    """Return a reading with what NVML says of a GPU; what it does not tell stays as it was."""
    import pynvml as nvml

    with suppress(nvml.NVMLError):
        nvml.nvmlInit()
        card = nvml.nvmlDeviceGetHandleByUUID(uuid)
        return replace(
            reading,
            gpu_sm_mhz=_told(lambda: float(nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_SM)), None),
            gpu_memory_mhz=_told(lambda: float(nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_MEM)), None),
            gpu_c=_told(lambda: float(nvml.nvmlDeviceGetTemperature(card, nvml.NVML_TEMPERATURE_GPU)), None),
            gpu_w=_told(lambda: nvml.nvmlDeviceGetPowerUsage(card) / 1000, None),
            gpu_throttles=_told(
                lambda: throttle_names(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(card)), ()
            ),
            gpu_others=_told(lambda: _other_processes(nvml.nvmlDeviceGetComputeRunningProcesses(card)), 0),
        )
    return reading


def gpu_sm_mhz(uuid: str) -> float | None:
    """Return the clock of a GPU's multiprocessors, MHz, or None where NVML does not tell."""
    import pynvml as nvml

    with suppress(nvml.NVMLError):
        nvml.nvmlInit()
        return float(nvml.nvmlDeviceGetClockInfo(nvml.nvmlDeviceGetHandleByUUID(uuid), nvml.NVML_CLOCK_SM))
    return None


def _told(read: Callable[[], T], otherwise: T) -> T:
    import pynvml as nvml

    try:
        return read()
    except nvml.NVMLError:
        return otherwise


def throttle_names(mask: int) -> tuple[str, ...]:
    """Return the throttle reasons that NVML's mask names; idleness and clocks asked for are none."""
    import pynvml

    return tuple(
        words
        for name, words in THROTTLES.items()
        if mask & getattr(pynvml, f"nvmlClocksThrottleReason{name}")
    )


def _other_processes(found: Iterable[Any]) -> int:
    me = psutil.Process()
    ours = {me.pid, *(child.pid for child in me.children(recursive=True))}
    return len({process.pid for process in found} - ours)


def _throttle_counts() -> int | None:
    counts = []
    for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count"):
        with suppress(OSError, ValueError):
            counts.append(int(path.read_text(encoding="ascii")))
    return sum(counts) if counts else None
