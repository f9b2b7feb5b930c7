"""Measurement: what one worker returned for an implementation at a case."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median
from typing import Annotated, Final, Self

from annotated_types import Len

from linbench.core.bounds import CLOSED, Bytes, Magnitude, Name, Natural, Seconds, Short
from linbench.core.case import Case
from linbench.core.samples import Samples, median_of_medians
from linbench.core.telemetry import Telemetry
from linbench.core.work import Work


class Status(StrEnum):
    """How a measurement ended; the set is closed, and only `ok` may carry a time."""

    OK = "ok"
    WRONG = "wrong"
    OOM = "oom"
    UNSUPPORTED = "unsupported"
    COMPILE_ERROR = "compile_error"
    ERROR = "error"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    SKIPPED = "skipped"


class Cause(StrEnum):
    """What a reason means to a program; a row whose reason is none of these has no cause."""

    PREDICTED_MEMORY = "predicted_memory"
    EARLIER_TIMEOUT = "earlier_timeout"
    TIME_LIMIT = "time_limit"
    MISSING_MODULE = "missing_module"
    NO_DEVICE = "no_device"


class Reason(str):
    """A reason with its cause; what says why not may return a plain text as well."""

    cause: Cause

    def __new__(cls, text: str, cause: Cause) -> Self:
        """Return the text with its cause."""
        reason = super().__new__(cls, text)
        reason.cause = cause
        return reason


FAILURES: Final = frozenset(Status) - {Status.OK, Status.UNSUPPORTED, Status.SKIPPED}


@dataclass(frozen=True)
class TensorError:
    """How far one tensor is from the float64 reference.

    Attributes:
        rel_l2: ||actual - exact|| / ||exact||, both Euclidean.
        max_abs: Largest absolute difference.
        max_rel: Largest relative difference where |exact| is at least 1% of its root mean square.
        cosine: Cosine of the angle between the two, flattened.
        nonfinite: Elements that are NaN or infinite.
        tolerance: The largest rel_l2 that is right; see `linbench.measure.tolerance`.
        by_position: rel_l2 of up to 16 stretches of T, of equal length, from the first token to the last,
            None where a stretch was not compared; empty where the tensor has no T.
    """

    __pydantic_config__ = CLOSED

    rel_l2: Magnitude
    max_abs: Magnitude
    max_rel: Magnitude
    cosine: float
    nonfinite: Natural
    tolerance: Magnitude
    by_position: Annotated[tuple[Magnitude | None, ...], Len(0, 64)] = ()

    @property
    def within_tolerance(self) -> bool:
        """True if every element is finite and rel_l2 is at most the tolerance."""
        return self.nonfinite == 0 and self.rel_l2 <= self.tolerance


NO_SAMPLES: Final = Samples()


@dataclass(frozen=True)
class Time:
    """How long one call took.

    Attributes:
        timer: The timer that took every sample, one of `linbench.core.timer.TIMERS`.
        median_s: Median of the processes' medians, seconds.
        ci_low_s: Low end of its 95% interval, seconds: over processes, or over samples if there is one
            process only.
        ci_high_s: High end of that interval, seconds.
        processes: How many samples each process took.
        cpu_median_s: Median of the processes' medians of `Samples.cpu_s`, seconds; None where there are none.
        kernels_median_s: The same of `Samples.kernels_s`.
        enqueue_median_s: The same of `Samples.enqueue_s`.
        calibration_median_s: The same of a fixed operation that was timed in the same turns, see
            `linbench.measure.calibration`.
        samples: The samples, process after process; empty where a query did not ask for them.

    Raises:
        ValueError: The interval is turned around, or the samples are not as many as the processes took.
    """

    timer: Short
    median_s: Seconds
    ci_low_s: Magnitude  # of two processes that differ much it has no bound to speak of
    ci_high_s: Magnitude
    processes: Annotated[tuple[Natural, ...], Len(1, 1000)]
    cpu_median_s: Seconds | None = None
    kernels_median_s: Seconds | None = None
    enqueue_median_s: Seconds | None = None
    calibration_median_s: Seconds | None = None
    samples: Samples = field(default=NO_SAMPLES, repr=False)

    def __post_init__(self) -> None:
        if self.ci_low_s > self.ci_high_s:
            raise ValueError("ci_low_s is above ci_high_s")
        if self.n < 1:
            raise ValueError("a time needs one sample at least")
        if len(self.samples) not in (0, self.n):
            raise ValueError(f"there are {len(self.samples)} samples where processes took {self.n}")

    @classmethod
    def of(
        cls,
        timer: str,
        processes: Sequence[Samples],
        calibrations: Sequence[Samples],
        interval: tuple[float, float],
    ) -> Self:
        """Return what the samples of each process say.

        Args:
            timer: What took them.
            processes: Of each process; none is empty.
            calibrations: Of the calibration op in the same turns, of each process.
            interval: The ends of the 95% interval of the median.
        """
        return cls(
            timer=timer,
            median_s=median(median(samples.time_s) for samples in processes),
            ci_low_s=interval[0],
            ci_high_s=interval[1],
            processes=tuple(map(len, processes)),
            cpu_median_s=median_of_medians(processes, "cpu_s"),
            kernels_median_s=median_of_medians(processes, "kernels_s"),
            enqueue_median_s=median_of_medians(processes, "enqueue_s"),
            calibration_median_s=median_of_medians(calibrations, "time_s"),
            samples=Samples.joined(processes),
        )

    @property
    def n(self) -> int:
        """How many samples there are."""
        return sum(self.processes)

    @property
    def half_width(self) -> float:
        """Half of the interval's width, relative to the median."""
        return (self.ci_high_s - self.ci_low_s) / 2 / self.median_s if self.median_s else 0.0


@dataclass(frozen=True)
class Memory:
    """What one call needs beside what stood before it.

    Attributes:
        peak_bytes: Most bytes alive at once, inputs included.
        extra_bytes: The same above the inputs: outputs, what backward keeps, and workspace.
        meter: What was read: allocator (torch's own record, exact) or rss (resident set of a fresh process).
        output_bytes: Of what the call returned and did not lie in its inputs.
        saved_bytes: Of what forward kept for backward beside inputs and outputs.
        workspace_bytes: What the peak held beside those two.
        state_bytes: Of the recurrent state or cache that the call is given or returns.
        reserved_bytes: What the allocator took from the device above what it held, at the most; None where
            the meter does not tell.
    """

    peak_bytes: Bytes
    extra_bytes: Bytes
    meter: Annotated[str, Len(0, 16)]
    output_bytes: Bytes = 0
    saved_bytes: Bytes = 0
    workspace_bytes: Bytes = 0
    state_bytes: Bytes = 0
    reserved_bytes: Bytes | None = None


@dataclass(frozen=True)
class Kernel:
    """A kernel that a call launched, as it was compiled.

    Attributes:
        name: The function's.
        configuration: What was chosen for it, as in "num_warps=4 num_stages=3 BLOCK_V=64".
        hash: Of the compiled kernel, hexadecimal; the same code and configuration give the same one.
        registers: Registers a thread, if known.
        spills: Bytes a thread that did not fit in registers, if known.
        shared_bytes: Shared memory of a block, if known.
    """

    __pydantic_config__ = CLOSED

    name: str
    configuration: str
    hash: str
    registers: Natural | None = None
    spills: Natural | None = None
    shared_bytes: Natural | None = None


@dataclass(frozen=True)
class Measurement:
    """One row: an implementation at a case, how it ended and, if well, what was measured.

    Attributes:
        operator: Name of the operator.
        implementation: Full name of the implementation, as in linear/chunk.
        case: Where it was measured.
        status: How it ended.
        reason: One line that says why; only an ok row may have none.
        cause: What the reason means to a program; None where it means nothing in particular.
        time: The samples; only an ok row has them, and none under `--once`.
        memory: Peak memory; only an ok row has it.
        errors: By tensor (o, dq, S, ...); an ok or a wrong row has them.
        first_call_s: Seconds of the first call, compilation and loading included.
        deterministic: Whether the same inputs gave the same bits twice; None where it was not tried.
        kernels: What the call launched, as far as it can be told: Triton's kernels, and what the
            implementation says of its own.
        work: What the call has to do; only an ok row has it.
        approximation: By tensor, relative L2 distance of this operator's reference from that of the operator
            which it approximates; empty where it approximates none. The numerical error is in `errors`.
        telemetry: Clocks, temperature, power, load and other processes before, during and after, and how many
            rounds were measured again.
        flags: Warnings on an ok row: contended, throttled, unstable.
        measured_at: When the row was finished, ISO 8601 in UTC.
    """

    operator: Name
    implementation: Name
    case: Case
    status: Status
    reason: str | None = None
    cause: Cause | None = None
    time: Time | None = None
    first_call_s: Seconds | None = None
    deterministic: bool | None = None
    kernels: Annotated[tuple[Kernel, ...], Len(0, 1000)] = ()
    memory: Memory | None = None
    work: Work | None = None
    errors: Mapping[Name, TensorError] = field(default_factory=dict)
    approximation: Mapping[Name, Magnitude] = field(default_factory=dict)
    telemetry: Telemetry = field(default_factory=Telemetry, repr=False)
    flags: Annotated[tuple[Short, ...], Len(0, 16)] = ()
    measured_at: Short = ""

    def __post_init__(self) -> None:
        if self.status is not Status.OK:
            if self.time is not None or self.memory is not None or self.work is not None:
                raise ValueError(f"a measurement that is {self.status} cannot carry a time, memory or work")
            if not self.reason:
                raise ValueError(f"a measurement that is {self.status} must say why")

    @property
    def worst_tensor(self) -> str | None:
        """The tensor whose relative error is the largest share of its tolerance; None without errors.

        A tensor with an element that is not finite is worse than any other.
        """

        def share(name: str) -> float:
            error = self.errors[name]
            if error.nonfinite or not math.isfinite(error.rel_l2):
                return math.inf
            if error.tolerance > 0:
                return error.rel_l2 / error.tolerance
            return math.inf if error.rel_l2 else 0.0

        return max(self.errors, key=share, default=None)
