"""Trial: a job during its measurement, and the row that results from it."""

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
    """A turn of one implementation, or all of its turns in a process.

    Attributes:
        samples: Samples of its calls.
        calibration: Samples of the calibration op, timed after the calls.
        readings: Readings of the machine during the turn.
    """

    samples: Samples = NO_SAMPLES
    calibration: Samples = NO_SAMPLES
    readings: tuple[Reading, ...] = ()

    def join(self, later: Turn) -> Turn:
        """Return this turn and a later one as one turn."""
        return Turn(
            Samples.join((self.samples, later.samples)),
            Samples.join((self.calibration, later.calibration)),
            (*self.readings, *later.readings),
        )

    @property
    def is_contended(self) -> bool:
        """Whether too many of the calls were disturbed for a reliable time."""
        return self.samples.contended_share > CONTENDED_SHARE

    def is_settled(self, precision: float) -> bool:
        """Return whether the confidence interval of the median is within this relative half width."""
        if not len(self.samples):
            return False
        low, high = median_interval(self.samples.time_s)
        return high - low <= 2 * precision * median(self.samples.time_s)


@dataclass(frozen=True)
class Ending:
    """The status, the reason (one line) and the machine-readable cause of a job that ended early."""

    status: Status
    reason: str
    cause: Cause | None = None


@dataclass
class Trial:
    """A job during its measurement.

    Attributes:
        job: The job.
        precision: Relative half width of the confidence interval below which a row is steady.
        cores: Number of processors that the run may use.
        spent_s: Time that the current worker has spent on the job, seconds.
        check_result: Result of the first successful check.
        errors: The error of each tensor in the last check.
        memory: The memory of a call, once it is measured.
        approximation: Relative L2 distance from the operator that is approximated, by tensor.
        processes: The joined turns of each process.
        rounds_again: Number of its rounds that were disturbed and measured again.
        before: Reading of the machine before the job.
        after: Reading of the machine after the job.
        ending: Status and reason, if the job ended early.
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
        """Whether the job can still be measured."""
        return self.ending is None

    @property
    def call_s(self) -> float:
        """Duration of a warm call in the first process, seconds; 0 before it is measured."""
        return self.check_result.call_s or 0.0 if self.check_result else 0.0

    def end(self, status: Status, reason: str, cause: Cause | None = None) -> None:
        """End the job early, with a reason of one line; the cause may be an attribute of the reason."""
        text = " ".join(reason.split()) or str(status)
        self.ending = Ending(status, text, cause or getattr(reason, "cause", None))

    def time(self) -> Time | None:
        """Return the time from the samples so far, or None if there are none."""
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
        is_checked = end is None or end.status is Status.WRONG
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
            errors=self.errors if is_checked else {},
            approximation=self.approximation if is_checked else {},
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
        conditions = {
            "contended": contended or disturbance(readings, self.cores) is not None,
            "throttled": bool(throttle_reasons(readings)),
            "unstable": time.half_width > self.precision,
        }
        return tuple(name for name, condition in conditions.items() if condition)
