"""Trial: a job while it is measured, and the row that becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any

from linbench.core.measurement import Kernel, Measurement, Memory, Status, TensorError, Time
from linbench.core.work import Work
from linbench.execution.schedule import Job
from linbench.measure.telemetry import Reading, disturbance, summary, throttling
from linbench.statistics.interval import median_interval, process_interval

CONTENDED_SHARE = 0.2


@dataclass
class Taken:
    """Samples, and the machine while they were taken.

    Attributes:
        samples_s: Seconds of each call.
        cpu_s: Processor time in each; empty where the timer does not tell.
        switches: Involuntary context switches in each.
        kernels_s: Sum of the kernels' times in each; empty where the timer does not tell.
        anchor_s: Seconds of each call of the anchor beside them.
        contended: How many of the calls were disturbed.
        readings: Of the machine, meanwhile.
    """

    samples_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    switches: list[int] = field(default_factory=list)
    kernels_s: list[float] = field(default_factory=list)
    anchor_s: list[float] = field(default_factory=list)
    contended: int = 0
    readings: list[Reading] = field(default_factory=list)

    def add(self, other: Taken) -> None:
        """Take in what was taken later."""
        self.samples_s += other.samples_s
        self.cpu_s += other.cpu_s
        self.switches += other.switches
        self.kernels_s += other.kernels_s
        self.anchor_s += other.anchor_s
        self.contended += other.contended
        self.readings += other.readings

    @property
    def is_contended(self) -> bool:
        """Whether so many of the calls were disturbed that the figure is in doubt."""
        return self.contended > CONTENDED_SHARE * len(self.samples_s)

    def settled(self, precision: float) -> bool:
        """Return whether the median of these samples is known to a relative half width."""
        if not self.samples_s:
            return False
        low, high = median_interval(self.samples_s)
        return high - low <= 2 * precision * median(self.samples_s)


@dataclass
class Trial:
    """A job while it is measured.

    Attributes:
        job: What is measured.
        precision: Half width of the interval, relative, that a steady row reaches.
        cores: Processors that the run may use.
        spent_s: Seconds that the worker at hand has taken over it.
        answer: What the first check answered, once it did.
        errors: What the last check found, by tensor.
        memory: What it was found to need, once it was weighed.
        approximation: How far the operator is from the one that it approximates, by tensor.
        processes: What each process gave.
        rounds_again: Rounds of it that were disturbed and measured again.
        around: Readings of the machine before and after.
        ended: Status and reason, if it ended before its time.
    """

    job: Job
    precision: float
    cores: int = 1
    spent_s: float = 0.0
    answer: dict[str, Any] | None = None
    errors: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, Any] | None = None
    approximation: Mapping[str, float] = field(default_factory=dict)
    processes: list[Taken] = field(default_factory=list)
    rounds_again: int = 0
    around: dict[str, Reading] = field(default_factory=dict)
    ended: tuple[Status, str] | None = None

    @property
    def live(self) -> bool:
        """Whether it can still be measured."""
        return self.ended is None

    @property
    def call_s(self) -> float:
        """How long one warm call took in the first process, seconds; 0 before it is known."""
        return float((self.answer or {}).get("call_s", 0.0))

    def end(self, status: Status, reason: str) -> None:
        """Note how it ended, in one line."""
        self.ended = (status, " ".join(reason.split()) or str(status))

    def time(self) -> Time | None:
        """Return what the samples so far say, or None if there is none."""
        processes = [taken for taken in self.processes if taken.samples_s]
        if not processes or self.answer is None:
            return None
        if len(processes) == 1:
            samples = processes[0].samples_s
            middle, (low, high) = median(samples), median_interval(samples)
        else:
            medians = [median(taken.samples_s) for taken in processes]
            middle, (low, high) = median(medians), process_interval(medians)
        return Time(
            timer=self.answer["timer"],
            median_s=middle,
            ci_low_s=low,
            ci_high_s=high,
            processes=tuple(len(taken.samples_s) for taken in processes),
            samples_s=tuple(sample for taken in processes for sample in taken.samples_s),
            cpu_s=tuple(sample for taken in processes for sample in taken.cpu_s),
            switches=tuple(number for taken in processes for number in taken.switches),
            kernels_s=tuple(sample for taken in processes for sample in taken.kernels_s),
            cpu_median_s=_median_of_medians([taken.cpu_s for taken in processes]),
            kernels_median_s=_median_of_medians([taken.kernels_s for taken in processes]),
            anchor_median_s=_median_of_medians([taken.anchor_s for taken in processes]),
        )

    def measurement(self) -> Measurement:
        """Return the row."""
        status, reason = self.ended or (Status.OK, None)
        job, answer = self.job, self.answer or {}
        ok = status is Status.OK
        judged = status in (Status.OK, Status.WRONG)
        time = self.time() if ok else None
        return Measurement(
            operator=job.operator,
            implementation=job.implementation,
            case=job.case,
            status=status,
            reason=reason,
            time=time,
            memory=Memory(**self.memory) if ok and self.memory else None,
            errors={name: TensorError.from_json(found) for name, found in self.errors.items()}
            if judged
            else {},
            first_call_s=answer.get("first_call_s"),
            deterministic=answer.get("deterministic"),
            kernels=tuple(Kernel(**kernel) for kernel in answer.get("kernels", ())),
            work=Work(**answer["work"]) if ok and "work" in answer else None,
            approximation=self.approximation if judged else {},
            telemetry=self._telemetry(),
            flags=self._flags(time) if time is not None else (),
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    @property
    def _readings(self) -> list[Reading]:
        return [reading for taken in self.processes for reading in taken.readings]

    def _telemetry(self) -> dict[str, Any]:
        found: dict[str, Any] = {name: reading.to_json() for name, reading in self.around.items()}
        if self._readings:
            found |= {"during": summary(self._readings), "rounds_again": self.rounds_again}
        return found

    def _flags(self, time: Time) -> tuple[str, ...]:
        contended = sum(taken.contended for taken in self.processes) > CONTENDED_SHARE * time.n
        raised = {
            "contended": contended or disturbance(self._readings, self.cores) is not None,
            "throttled": throttling(self._readings) is not None,
            "unstable": time.half_width > self.precision,
        }
        return tuple(name for name, up in raised.items() if up)


def _median_of_medians(processes: Sequence[Sequence[float]]) -> float | None:
    medians = [median(samples) for samples in processes if samples]
    return median(medians) if medians else None
