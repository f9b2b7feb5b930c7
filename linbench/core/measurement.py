"""Measurement: the results of an implementation at a case."""

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
    """The outcome of a measurement; the set is closed, and only an `ok` measurement may have a time."""

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
    """A machine-readable reason; a row with any other reason has no cause."""

    PREDICTED_MEMORY = "predicted_memory"
    EARLIER_TIMEOUT = "earlier_timeout"
    TIME_LIMIT = "time_limit"
    MISSING_MODULE = "missing_module"
    NO_DEVICE = "no_device"


class Reason(str):
    """A reason with its cause; a restriction may also return a plain string."""

    cause: Cause

    def __new__(cls, text: str, cause: Cause) -> Self:
        """Return the text with its cause."""
        reason = super().__new__(cls, text)
        reason.cause = cause
        return reason


FAILURES: Final = frozenset(Status) - {Status.OK, Status.UNSUPPORTED, Status.SKIPPED}


@dataclass(frozen=True)
class Tolerance:
    """The largest errors of a correct tensor; see `linbench.measure.tolerance`.

    Attributes:
        rel_l2: Relative L2 error of the whole tensor.
        rows: Relative L2 error of any row, by zone of its token (`linbench.measure.rows`), or one for all.
        head: Relative error of the scale of any head.
    """

    rel_l2: Magnitude
    rows: Annotated[tuple[Magnitude, ...], Len(1, 64)]
    head: Magnitude


@dataclass(frozen=True)
class Deviation:
    """Where a wrong tensor deviates from its expected value.

    Attributes:
        first: The first wrong element by axis, as in {"b": 0, "t": 126, "h": 2, "v": 0}.
        actual: Its value; None if it is NaN or infinite.
        expected: Its expected value.
        elements: Number of wrong elements.
        rows: Number of wrong rows.
        tokens: Number of tokens with a wrong row; 0 for a tensor without tokens.
        heads: Number of heads with a wrong row, or of a wrong scale; 0 for a tensor without heads.
        pattern: What the wrong elements have in common, in words; empty if nothing was found.
    """

    __pydantic_config__ = CLOSED

    first: Mapping[Short, Natural]
    actual: float | None
    expected: float
    elements: Natural
    rows: Natural
    tokens: Natural = 0
    heads: Natural = 0
    pattern: str = ""


@dataclass(frozen=True)
class TensorError:
    """The error of one tensor relative to the float64 reference.

    A row is what one token of one head has: [D] of [B, T, H, D]. A row whose norm is below 10% of the root
    mean square of all rows counts with that norm.

    Attributes:
        rel_l2: ||actual - expected|| / ||expected||, Euclidean norms.
        max_abs: Largest absolute difference.
        max_rel: Largest relative difference where |expected| is at least 1% of its root mean square.
        cosine: Cosine of the angle between the two, flattened.
        nonfinite: Number of elements that are NaN or infinite.
        tolerance: The largest rel_l2 of a correct result; see `linbench.measure.tolerance`.
        by_position: rel_l2 of up to 16 segments of T, of equal length, from the first token to the last,
            None where a segment was not compared; empty where the tensor has no T.
        row_error: Relative L2 error of the row that is the largest multiple of its tolerance; None where only
            scattered elements were compared.
        row_tolerance: The largest error of that row in a correct result.
        head_error: Largest |<actual, expected> / <expected, expected> - 1| of a head, which is the relative
            error of its scale; None where no whole head was compared.
        head_tolerance: The largest head_error of a correct result.
        deviation: Where it deviates, if it is wrong.
    """

    __pydantic_config__ = CLOSED

    rel_l2: Magnitude
    max_abs: Magnitude
    max_rel: Magnitude
    cosine: float
    nonfinite: Natural
    tolerance: Magnitude
    by_position: Annotated[tuple[Magnitude | None, ...], Len(0, 64)] = ()
    row_error: Magnitude | None = None
    row_tolerance: Magnitude | None = None
    head_error: Magnitude | None = None
    head_tolerance: Magnitude | None = None
    deviation: Deviation | None = None

    @property
    def within_tolerance(self) -> bool:
        """True if every element is finite and no error exceeds its tolerance."""
        pairs = (
            (self.rel_l2, self.tolerance),
            (self.row_error, self.row_tolerance),
            (self.head_error, self.head_tolerance),
        )
        return self.nonfinite == 0 and all(
            error <= tolerance for error, tolerance in pairs if error is not None and tolerance is not None
        )


NO_SAMPLES: Final = Samples()


@dataclass(frozen=True)
class Time:
    """The duration of one call.

    Attributes:
        timer: The timer of every sample, one of `linbench.core.timer.TIMERS`.
        median_s: Median of the processes' medians, seconds.
        ci_low_s: Low end of its 95% confidence interval, seconds: over processes, or over samples if there is
            only one process.
        ci_high_s: High end of that interval, seconds.
        processes: Number of samples per process.
        cpu_median_s: Median of the processes' medians of `Samples.cpu_s`, seconds; None where there are none.
        kernels_median_s: The same of `Samples.kernels_s`.
        enqueue_median_s: The same of `Samples.enqueue_s`.
        calibration_median_s: The same of a fixed operation that is timed in the same turns, see
            `linbench.measure.calibration`.
        samples: The samples, process after process; empty where a query did not request them.

    Raises:
        ValueError: The ends of the interval are swapped, or the number of samples is not that of `processes`.
    """

    timer: Short
    median_s: Seconds
    ci_low_s: Magnitude  # unbounded in practice: of two very different processes the interval is huge
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
            raise ValueError("a time needs at least one sample")
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
        """Return the time of a call from the samples of each process.

        Args:
            timer: The timer of the samples.
            processes: Samples of each process, not empty.
            calibrations: Samples of the calibration op in the same turns, of each process.
            interval: The ends of the 95% confidence interval of the median.
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
            samples=Samples.join(processes),
        )

    @property
    def n(self) -> int:
        """Number of samples."""
        return sum(self.processes)

    @property
    def half_width(self) -> float:
        """Half of the interval's width, relative to the median."""
        return (self.ci_high_s - self.ci_low_s) / 2 / self.median_s if self.median_s else 0.0


@dataclass(frozen=True)
class Memory:
    """The memory of one call.

    Attributes:
        peak_bytes: Peak of the bytes in use, including the inputs.
        extra_bytes: The same without the inputs: outputs, tensors saved for backward, and workspace.
        meter: How it was measured: allocator (torch's own record, exact) or rss (resident set size of a fresh
            process).
        output_bytes: Bytes of the results that do not alias an input.
        saved_bytes: Bytes that forward saves for backward besides inputs and outputs.
        workspace_bytes: Bytes of the peak besides outputs and saved tensors.
        state_bytes: Bytes of the recurrent state or cache that the call receives or returns.
        reserved_bytes: Peak of the bytes reserved from the device, less the peak of those in use; None where
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
    """A compiled kernel that a call launched.

    Attributes:
        name: Name of the function.
        configuration: Its parameters, as in "num_warps=4 num_stages=3 BLOCK_V=64".
        hash: Hash of the compiled kernel, hexadecimal; the same for the same code and configuration.
        registers: Registers per thread, if known.
        spills: Bytes of register spills per thread, if known.
        shared_bytes: Shared memory per block, if known.
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
    """One row: an implementation at a case, its status and, if it is ok, its results.

    Attributes:
        operator: Name of the operator.
        implementation: Full name of the implementation, as in linear/chunk.
        case: The measured case.
        status: Outcome.
        reason: One-line reason of the status; required unless the status is ok.
        cause: Machine-readable form of the reason; None where it has none.
        time: Time of a call; only an ok row has it, except under `--once`.
        memory: Peak memory; only an ok row has it.
        errors: Errors by tensor (o, dq, S, ...); an ok or a wrong row has them.
        first_call_s: Seconds of the first call, including compilation and loading.
        deterministic: Whether two calls on the same inputs gave the same bits; None where it was not checked.
        kernels: Kernels that the call launched, as far as they are known: Triton's, and those that the
            implementation reports.
        work: The work that the call requires; only an ok row has it.
        approximation: By tensor, relative L2 distance between the references of this operator and of the
            operator that it approximates; empty where it approximates none. The numerical error is in
            `errors`.
        telemetry: Clocks, temperature, power, load and other processes before, during and after, and the
            number of repeated rounds.
        flags: Warnings on an ok row: contended, throttled, unstable.
        measured_at: Time at which the row was finished, ISO 8601 in UTC.
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
                raise ValueError(
                    f"a measurement with status {self.status} cannot have a time, memory or work"
                )
            if not self.reason:
                raise ValueError(f"a measurement with status {self.status} must have a reason")

    @property
    def worst_tensor(self) -> str | None:
        """The tensor whose relative error is the largest share of its tolerance; None without errors.

        A tensor with an element that is not finite is the worst.
        """

        def share(name: str) -> float:
            error = self.errors[name]
            if error.nonfinite or not math.isfinite(error.rel_l2):
                return math.inf
            if error.tolerance > 0:
                return error.rel_l2 / error.tolerance
            return math.inf if error.rel_l2 else 0.0

        return max(self.errors, key=share, default=None)
