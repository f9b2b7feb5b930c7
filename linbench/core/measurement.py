"""Measurement: what one worker returned for an implementation at a case."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from linbench.core.case import Case
from linbench.core.work import WORK, Work


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


MEMORY_BYTES: Final = (
    *("peak_bytes", "extra_bytes", "output_bytes", "saved_bytes"),
    *("workspace_bytes", "state_bytes", "reserved_bytes"),
)
FAILURES = frozenset(Status) - {Status.OK, Status.UNSUPPORTED, Status.SKIPPED}


@dataclass(frozen=True)
class TensorError:
    """How far one tensor is from the float64 oracle.

    Attributes:
        rel_l2: ||actual - exact|| / ||exact||, both Euclidean.
        max_abs: Largest absolute difference.
        max_rel: Largest relative difference where |exact| is at least 1% of its root mean square.
        cosine: Cosine of the angle between the two, flattened.
        nonfinite: Elements that are NaN or infinite.
        budget: The largest rel_l2 that is right; see `linbench.measure.budget`.
        by_position: rel_l2 of up to 16 stretches of T, of equal length, from the first token to the last,
            None where a stretch was not compared; empty where the tensor has no T.
    """

    rel_l2: float
    max_abs: float
    max_rel: float
    cosine: float
    nonfinite: int
    budget: float
    by_position: tuple[float | None, ...] = ()

    @property
    def within_budget(self) -> bool:
        """True if every element is finite and rel_l2 is at most the budget."""
        return self.nonfinite == 0 and self.rel_l2 <= self.budget

    def to_json(self) -> dict[str, Any]:
        """Return the error as plain JSON data."""
        return {**asdict(self), "by_position": list(self.by_position)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the error that `to_json` wrote; one of before by_position was kept has none."""
        return cls(**{**data, "by_position": tuple(data.get("by_position", ()))})


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
        samples_s: The samples in the order in which they were taken, process after process, seconds; empty
            where a query did not ask for them, as are the next three.
        cpu_s: Processor time of the process in each, seconds; empty where the timer does not tell.
        switches: Involuntary context switches of the process in each.
        kernels_s: Sum of the kernels' times in each, seconds; empty where the timer does not tell.
        cpu_median_s: Median of the processes' medians of `cpu_s`, seconds; None where there are none.
        kernels_median_s: The same of `kernels_s`.
        anchor_median_s: The same of a fixed operation that was timed in the same turns, see
            `linbench.measure.anchor`; None in rows stored before there was one.
    """

    timer: str
    median_s: float
    ci_low_s: float
    ci_high_s: float
    processes: tuple[int, ...]
    samples_s: Sequence[float] = field(default=(), repr=False)
    cpu_s: Sequence[float] = field(default=(), repr=False)
    switches: Sequence[int] = field(default=(), repr=False)
    kernels_s: Sequence[float] = field(default=(), repr=False)
    cpu_median_s: float | None = None
    kernels_median_s: float | None = None
    anchor_median_s: float | None = None

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

    Rows stored before the parts were weighed have None for each.

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

    peak_bytes: int
    extra_bytes: int
    meter: str
    output_bytes: int | None = None
    saved_bytes: int | None = None
    workspace_bytes: int | None = None
    state_bytes: int | None = None
    reserved_bytes: int | None = None


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

    name: str
    configuration: str
    hash: str
    registers: int | None = None
    spills: int | None = None
    shared_bytes: int | None = None


@dataclass(frozen=True)
class Measurement:
    """One row: an implementation at a case, how it ended and, if well, what was measured.

    Attributes:
        operator: Name of the operator.
        implementation: Full name of the implementation, as in linear/chunk.
        case: Where it was measured.
        status: How it ended.
        reason: One line that says why; only an ok row may have none.
        time: The samples; only an ok row has them, and none under `--once`.
        memory: Peak memory; only an ok row has it.
        errors: By tensor (o, dq, S, ...); an ok or a wrong row has them.
        first_call_s: Seconds of the first call, compilation and loading included.
        deterministic: Whether the same inputs gave the same bits twice; None where it was not tried.
        kernels: What the call launched, as far as it can be told: Triton's kernels, and what the
            implementation says of its own.
        work: What the call has to do; only an ok row has it, and none that was stored before it was kept.
        approximation: By tensor, relative L2 distance of this operator's oracle from that of the operator
            which it approximates; empty where it approximates none. The numerical error is in `errors`.
        telemetry: Clocks, temperature, power, load and other processes before, during and after, as
            `linbench.measure.telemetry` read them, and how many rounds were measured again.
        flags: Warnings on an ok row: contended, throttled, unstable.
        measured_at: When the row was finished, ISO 8601 in UTC.
    """

    operator: str
    implementation: str
    case: Case
    status: Status
    reason: str | None = None
    time: Time | None = None
    memory: Memory | None = None
    errors: Mapping[str, TensorError] = field(default_factory=dict)
    first_call_s: float | None = None
    deterministic: bool | None = None
    kernels: tuple[Kernel, ...] = ()
    work: Work | None = None
    approximation: Mapping[str, float] = field(default_factory=dict)
    telemetry: Mapping[str, Any] = field(default_factory=dict, repr=False)
    flags: tuple[str, ...] = ()
    measured_at: str = ""

    def __post_init__(self) -> None:
        if self.status is not Status.OK:
            if self.time is not None or self.memory is not None or self.work is not None:
                raise ValueError(f"a measurement that is {self.status} cannot carry a time, memory or work")
            if not self.reason:
                raise ValueError(f"a measurement that is {self.status} must say why")

    @property
    def worst_tensor(self) -> str | None:
        """The tensor whose relative error is the largest share of its budget; None without errors.

        A tensor with an element that is not finite is worse than any other.
        """

        def share(name: str) -> float:
            error = self.errors[name]
            if error.nonfinite or not math.isfinite(error.rel_l2):
                return math.inf
            if error.budget > 0:
                return error.rel_l2 / error.budget
            return math.inf if error.rel_l2 else 0.0

        return max(self.errors, key=share, default=None)

    def to_row(self, run: str) -> dict[str, Any]:
        """Return the measurement as one JSON object, samples left out."""
        time, memory = self.time, self.memory
        return {
            "run": run,
            "operator": self.operator,
            "implementation": self.implementation,
            "case_id": self.case.id,
            "case": self.case.to_json(),
            "status": str(self.status),
            "reason": self.reason,
            "timer": time.timer if time else None,
            "median_s": time.median_s if time else None,
            "ci_low_s": time.ci_low_s if time else None,
            "ci_high_s": time.ci_high_s if time else None,
            "cpu_median_s": time.cpu_median_s if time else None,
            "kernels_median_s": time.kernels_median_s if time else None,
            "anchor_median_s": time.anchor_median_s if time else None,
            "n": time.n if time else 0,
            "processes": list(time.processes) if time else [],
            "first_call_s": self.first_call_s,
            "deterministic": self.deterministic,
            "kernels": [asdict(kernel) for kernel in self.kernels],
            **{name: getattr(memory, name) if memory else None for name in MEMORY_BYTES},
            "memory_meter": memory.meter if memory else None,
            **{name: getattr(self.work, name, None) for name in WORK},
            "errors": {name: error.to_json() for name, error in self.errors.items()},
            "approximation": dict(self.approximation),
            "telemetry": dict(self.telemetry),
            "flags": list(self.flags),
            "measured_at": self.measured_at,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any], samples: Mapping[str, Sequence[Any]] | None = None) -> Self:
        """Return the measurement that `to_row` wrote.

        Args:
            row: The object.
            samples: samples_s, cpu_s, switches and kernels_s, where they were read.
        """
        time = memory = work = None
        if row["median_s"] is not None:
            time = Time(
                timer=row["timer"],
                median_s=row["median_s"],
                ci_low_s=row["ci_low_s"],
                ci_high_s=row["ci_high_s"],
                processes=tuple(row["processes"]),
                cpu_median_s=row["cpu_median_s"],
                kernels_median_s=row["kernels_median_s"],
                anchor_median_s=row["anchor_median_s"],
                **(samples or {}),
            )
        if row["peak_bytes"] is not None:
            memory = Memory(meter=row["memory_meter"], **{name: row[name] for name in MEMORY_BYTES})
        if row.get("useful_flops") is not None:  # a line written before work was kept has no such key
            work = Work(**{name: row[name] for name in WORK})
        return cls(
            operator=row["operator"],
            implementation=row["implementation"],
            case=Case.from_json(row["case"]),
            status=Status(row["status"]),
            reason=row["reason"],
            time=time,
            memory=memory,
            errors={name: TensorError.from_json(error) for name, error in row["errors"].items()},
            first_call_s=row["first_call_s"],
            deterministic=row["deterministic"],
            kernels=tuple(Kernel(**kernel) for kernel in row["kernels"]),
            work=work,
            approximation=row["approximation"],
            telemetry=row["telemetry"],
            flags=tuple(row["flags"]),
            measured_at=row["measured_at"],
        )
