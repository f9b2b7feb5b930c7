"""Trial: a job while it is measured, and the row that becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median

from linbench.core.measurement import NO_SAMPLES, Cause, Measurement, Memory, Status, TensorError, Time
from linbench.core.samples import Samples
from linbench.core.telemetry import Reading, Telemetry
from linbench.execution.messages import CheckResult
from linbench.execution.schedule import Job
from linbench.measure.telemetry import disturbance, rounded, summary, throttle_reasons
from linbench.statistics.interval import median_interval, process_interval

CONTENDED_SHARE = 0.2


@dataclass(frozen=True)
class Turn:
    """What a turn of one implementation gave, or all of its turns in a process.

    Attributes:
        samples: Of its calls.
        calibration: Of the calibration op beside them.
        readings: Of the machine, meanwhile.
    """

    samples: Samples = NO_SAMPLES
    calibration: Samples = NO_SAMPLES
    readings: tuple[Reading, ...] = ()

    def then(self, other: Turn) -> Turn:
        """Return this turn and a later one as one."""
        return Turn(
            Samples.join((self.samples, other.samples)),
            Samples.join((self.calibration, other.calibration)),
            (*self.readings, *other.readings),
        )

    @property
    def is_contended(self) -> bool:
        """Whether so many of the calls were disturbed that the figure is in doubt."""
        return self.samples.contended_share > CONTENDED_SHARE

    def settled(self, precision: float) -> bool:
        """Return whether the median of these samples is known to a relative half width."""
        if not len(self.samples):
            return False
        low, high = median_interval(self.samples.time_s)
        return high - low <= 2 * precision * median(self.samples.time_s)


@dataclass(frozen=True)
class Ending:
    """How a job ended before its time, why, in one line, and what that means to a program."""

    status: Status
    reason: str
    cause: Cause | None = None


@dataclass
class Trial:
    """A job while it is measured.

    Attributes:
        job: What is measured.
        precision: Half width of the interval, relative, that a steady row reaches.
        cores: Processors that the run may use.
        spent_s: Seconds that the worker at hand has taken over it.
        check_result: What the first check found, once it was right.
        errors: What the last check found, by tensor.
        memory: What it was found to need, once it was weighed.
        approximation: How far the operator is from the one that it approximates, by tensor.
        processes: What each process gave.
        rounds_again: Rounds of it that were disturbed and measured again.
        before: Reading of the machine before it.
        after: Reading of the machine after it.
        ending: How it ended, if it did before its time.
    """

    job: Job
    precision: float
    cores: int = 1
    spent_s: float = 0.0
    check_result: CheckResult | None = None
    errors: Mapping[str, TensorError] = field(default_factory=dict)
    memory: Memory | None = None
    approximation: Mapping[str, float] = field(default_factory=dict)
    processes: list[Turn] = field(default_factory=list)
    rounds_again: int = 0
    before: Reading | None = None
    after: Reading | None = None
    ending: Ending | None = None

    @property
    def live(self) -> bool:
        """Whether it can still be measured."""
        return self.ending is None

    @property
    def call_s(self) -> float:
        """How long one warm call took in the first process, seconds; 0 before it is known."""
        return self.check_result.call_s or 0.0 if self.check_result else 0.0

    def end(self, status: Status, reason: str, cause: Cause | None = None) -> None:
        """Note how it ended, in one line; a reason that has a cause brings its own."""
        text = " ".join(reason.split()) or str(status)
        self.ending = Ending(status, text, cause or getattr(reason, "cause", None))

    def time(self) -> Time | None:
        """Return what the samples so far say, or None if there is none."""
        processes = [turn for turn in self.processes if len(turn.samples)]
        if not processes or self.check_result is None:
            return None
        if len(processes) == 1:
            interval = median_interval(processes[0].samples.time_s)
        else:
            interval = process_interval([median(turn.samples.time_s) for turn in processes])
        samples, calibrations = (
            [turn.samples for turn in processes],
            [turn.calibration for turn in processes],
        )
        return Time.of(self.check_result.timer, samples, calibrations, interval)

    def measurement(self) -> Measurement:
        """Return the row."""
        end, job, check_result = self.ending, self.job, self.check_result
        is_ok = end is None
        is_judged = end is None or end.status is Status.WRONG
        time = self.time() if is_ok else None
        return Measurement(
            operator=job.operator,
            implementation=job.implementation,
            case=job.case,
            status=end.status if end else Status.OK,
            reason=end.reason if end else None,
            cause=end.cause if end else None,
            time=time,
            first_call_s=check_result.first_call_s if check_result else None,
            deterministic=check_result.deterministic if check_result else None,
            kernels=check_result.kernels if check_result else (),
            memory=self.memory if is_ok else None,
            work=check_result.work if is_ok and check_result else None,
            errors=self.errors if is_judged else {},
            approximation=self.approximation if is_judged else {},
            telemetry=self._telemetry(),
            flags=self._flags(time) if time is not None else (),
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    @property
    def _readings(self) -> list[Reading]:
        return [reading for turn in self.processes for reading in turn.readings]

    def _telemetry(self) -> Telemetry:
        readings = self._readings
        return Telemetry(
            before=self.before and rounded(self.before),
            after=self.after and rounded(self.after),
            during=summary(readings),
            throttles=throttle_reasons(readings),
            rounds_again=self.rounds_again,
        )

    def _flags(self, time: Time) -> tuple[str, ...]:
        readings = self._readings
        contended = time.samples.contended_share > CONTENDED_SHARE
        raised = {
            "contended": contended or disturbance(readings, self.cores) is not None,
            "throttled": bool(throttle_reasons(readings)),
            "unstable": time.half_width > self.precision,
        }
        return tuple(name for name, up in raised.items() if up)
