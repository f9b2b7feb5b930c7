"""Trial: a job while it is measured, and the row that becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any

from linbench.core.measurement import Measurement, Memory, Status, TensorError, Time
from linbench.core.statistics import median_interval, process_interval
from linbench.execution.plan import Job

CONTENDED_SHARE = 0.2


@dataclass
class Trial:
    """A job while it is measured.

    Attributes:
        job: What is measured.
        precision: Half width of the interval, relative, that a steady row reaches.
        spent_s: Seconds that the worker at hand has taken over it.
        answer: What the first check answered, once it did.
        errors: What the last check found, by tensor.
        samples_s: The samples of each process.
        contended: How many of them were disturbed.
        ended: Status and reason, if it ended before its time.
    """

    job: Job
    precision: float
    spent_s: float = 0.0
    answer: dict[str, Any] | None = None
    errors: dict[str, Any] = field(default_factory=dict)
    samples_s: list[list[float]] = field(default_factory=list)
    contended: int = 0
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
        processes = [samples for samples in self.samples_s if samples]
        if not processes or self.answer is None:
            return None
        if len(processes) == 1:
            middle, (low, high) = median(processes[0]), median_interval(processes[0])
        else:
            medians = [median(samples) for samples in processes]
            middle, (low, high) = median(medians), process_interval(medians)
        return Time(
            timer=self.answer["timer"],
            median_s=middle,
            ci_low_s=low,
            ci_high_s=high,
            processes=tuple(map(len, processes)),
            samples_s=tuple(sample for samples in processes for sample in samples),
        )

    def measurement(self) -> Measurement:
        """Return the row."""
        status, reason = self.ended or (Status.OK, None)
        job, answer = self.job, self.answer or {}
        ok = status is Status.OK
        time = self.time() if ok else None
        return Measurement(
            operator=job.operator,
            implementation=job.implementation,
            case=job.case,
            status=status,
            reason=reason,
            time=time,
            memory=Memory(**answer["memory"]) if ok and "memory" in answer else None,
            errors={name: TensorError(**error) for name, error in self.errors.items()}
            if status in (Status.OK, Status.WRONG)
            else {},
            first_call_s=answer.get("first_call_s"),
            flags=self._flags(time) if time is not None else (),
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _flags(self, time: Time) -> tuple[str, ...]:
        raised = {
            "contended": self.contended > CONTENDED_SHARE * time.n,
            "unstable": time.half_width > self.precision,
        }
        return tuple(name for name, up in raised.items() if up)
