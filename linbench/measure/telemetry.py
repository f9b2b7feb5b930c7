"""Telemetry: the load of the machine during a measurement, read in the parent process without torch."""

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
    """Counters that only increase: the clock, the time of all usable processors, and that of the run itself.

    Attributes:
        clock_s: Monotonic clock.
        busy_s: Processor time of all processes, without stolen time.
        steal_s: Processor time that the hypervisor gave to other guests.
        run_s: Processor time of the run's own processes.
        throttles: Number of throttling events of the processors, or None.
    """

    clock_s: float
    busy_s: float
    steal_s: float
    run_s: float
    throttles: int | None = None


class Monitor:
    """Reads the state of the machine; the load by other processes is that since the previous reading."""

    def __init__(
        self,
        gpu: str | None = None,
        *,
        counters: Callable[[], Counters] | None = None,
        card: Callable[[Reading, str], Reading] | None = None,
    ) -> None:
        """Make the first reading of the counters.

        Args:
            gpu: UUID of the measured GPU, if any.
            counters: Function that reads the host's counters.
            card: Function that adds the state of a GPU to a reading.
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
        run_s = max(0.0, now.run_s - before.run_s)  # the time of a process that ended is gone
        throttles = None
        if now.throttles is not None and before.throttles is not None:
            throttles = now.throttles - before.throttles
        reading = Reading(
            span_s=elapsed_s,
            load=os.getloadavg()[0],
            others_cores=max(0.0, now.busy_s - before.busy_s - run_s) / elapsed_s,
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
    """Return what disturbed a period of time, in a few words, or None.

    A period is disturbed if other processes, or the hypervisor, used more than 10% of the processors; the
    counters tick every 10 ms, so a period shorter than `LEAST_SPAN_S` is never judged.
    """
    span_s = sum(reading.span_s for reading in readings)
    if span_s < LEAST_SPAN_S:
        return None
    for name, source in (("others_cores", "other processes"), ("steal_cores", "the hypervisor")):
        mean = sum(getattr(reading, name) * reading.span_s for reading in readings) / span_s
        if mean > DISTURBED_SHARE * cores:
            return f"{source} used {mean:.2g} of {cores} processors"
    gpu_processes = max(reading.gpu_others for reading in readings)
    return f"{gpu_processes} other processes computed on the GPU" if gpu_processes else None


def summary(readings: Sequence[Reading]) -> dict[str, Range]:
    """Return the lowest, the median and the highest value of each field, with four significant digits."""
    ranges = {}
    for name in (field.name for field in fields(Reading) if field.name != "gpu_throttles"):
        values = [value for reading in readings if (value := getattr(reading, name)) is not None]
        if values:
            ranges[name] = Range(*(short(end) for end in (min(values), median(values), max(values))))
    return ranges


def rounded(reading: Reading) -> Reading:
    """Return a reading with four significant digits of each number, as it is stored."""
    floats: dict[str, Any] = {
        name: short(value) for name, value in vars(reading).items() if isinstance(value, float)
    }
    return replace(reading, **floats)


def short(value: float) -> float:
    """Return a number with four significant digits."""
    return float(f"{value:.4g}")


def throttle_reasons(readings: Iterable[Reading]) -> tuple[str, ...]:
    """Return every reason for throttling."""
    reasons = {reason for reading in readings for reason in reading.gpu_throttles}
    if any(reading.cpu_throttles for reading in readings):
        reasons.add("processor too hot")
    return tuple(sorted(reasons))


def host_counters() -> Counters:
    """Return the counters of the processors that this process may use, and of it and its descendants."""
    usable = os.sched_getaffinity(0)
    all_times = psutil.cpu_times(percpu=True)
    times = [cpu for number, cpu in enumerate(all_times) if number in usable] or all_times
    busy_s = sum(cpu.user + cpu.nice + cpu.system + cpu.irq + cpu.softirq for cpu in times)
    run_s = 0.0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.Error):
            process_times = process.cpu_times()
            run_s += process_times.user + process_times.system
    return Counters(
        clock_s=time.monotonic(),
        busy_s=busy_s,
        steal_s=sum(cpu.steal for cpu in times),
        run_s=run_s,
        throttles=_throttle_counts(),
    )


def cpu_mhz() -> float | None:
    """Return the mean clock of the processors, MHz, or None."""
    try:
        frequency = psutil.cpu_freq()
    except (OSError, NotImplementedError, ValueError):
        return None
    return float(frequency.current) if frequency is not None and frequency.current else None


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
    """Return a reading with the state of a GPU from NVML; other values keep their defaults."""
    import pynvml as nvml

    with suppress(nvml.NVMLError):
        nvml.nvmlInit()
        card = nvml.nvmlDeviceGetHandleByUUID(uuid)
        return replace(
            reading,
            gpu_sm_mhz=_read(lambda: float(nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_SM)), None),
            gpu_memory_mhz=_read(lambda: float(nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_MEM)), None),
            gpu_c=_read(lambda: float(nvml.nvmlDeviceGetTemperature(card, nvml.NVML_TEMPERATURE_GPU)), None),
            gpu_w=_read(lambda: nvml.nvmlDeviceGetPowerUsage(card) / 1000, None),
            gpu_throttles=_read(
                lambda: throttle_names(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(card)), ()
            ),
            gpu_others=_read(lambda: _other_processes(nvml.nvmlDeviceGetComputeRunningProcesses(card)), 0),
        )
    return reading


def gpu_sm_mhz(uuid: str) -> float | None:
    """Return the clock of a GPU's multiprocessors, MHz, or None where NVML does not report it."""
    import pynvml as nvml

    with suppress(nvml.NVMLError):
        nvml.nvmlInit()
        return float(nvml.nvmlDeviceGetClockInfo(nvml.nvmlDeviceGetHandleByUUID(uuid), nvml.NVML_CLOCK_SM))
    return None


def _read(query: Callable[[], T], default: T) -> T:
    import pynvml as nvml

    try:
        return query()
    except nvml.NVMLError:
        return default


def throttle_names(mask: int) -> tuple[str, ...]:
    """Return the throttle reasons in NVML's mask; idleness and requested clocks do not count."""
    import pynvml

    return tuple(
        reason
        for name, reason in THROTTLES.items()
        if mask & getattr(pynvml, f"nvmlClocksThrottleReason{name}")
    )


def _other_processes(processes: Iterable[Any]) -> int:
    me = psutil.Process()
    own_pids = {me.pid, *(child.pid for child in me.children(recursive=True))}
    return len({process.pid for process in processes} - own_pids)


def _throttle_counts() -> int | None:
    counts = []
    for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count"):
        with suppress(OSError, ValueError):
            counts.append(int(path.read_text(encoding="ascii")))
    return sum(counts) if counts else None
