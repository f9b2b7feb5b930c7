"""Measurement: what one worker returned for an implementation at a case."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from linbench.core.case import Case


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
        budget: The largest rel_l2 that is right for this dtype.
    """

    rel_l2: float
    max_abs: float
    max_rel: float
    cosine: float
    nonfinite: int
    budget: float

    @property
    def within_budget(self) -> bool:
        """True if every element is finite and rel_l2 is at most the budget."""
        return self.nonfinite == 0 and self.rel_l2 <= self.budget


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
            where a query did not ask for them.
    """

    timer: str
    median_s: float
    ci_low_s: float
    ci_high_s: float
    processes: tuple[int, ...]
    samples_s: Sequence[float] = field(default=(), repr=False)

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
        meter: What was read: allocator (torch's own record, exact) or rss (resident set of the process).
    """

    peak_bytes: int
    extra_bytes: int
    meter: str


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
        flags: Warnings on an ok row, as in "contended".
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
    flags: tuple[str, ...] = ()
    measured_at: str = ""

    def __post_init__(self) -> None:
        if self.status is not Status.OK:
            if self.time is not None or self.memory is not None:
                raise ValueError(f"a measurement that is {self.status} cannot carry a time or memory")
            if not self.reason:
                raise ValueError(f"a measurement that is {self.status} must say why")

    def to_row(self, run: str) -> dict[str, Any]:
        """Return the measurement as one JSON object, samples left out."""
        time = self.time
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
            "n": time.n if time else 0,
            "processes": list(time.processes) if time else [],
            "first_call_s": self.first_call_s,
            "peak_bytes": self.memory.peak_bytes if self.memory else None,
            "extra_bytes": self.memory.extra_bytes if self.memory else None,
            "memory_meter": self.memory.meter if self.memory else None,
            "errors": {name: asdict(error) for name, error in self.errors.items()},
            "flags": list(self.flags),
            "measured_at": self.measured_at,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any], samples_s: Sequence[float] = ()) -> "Measurement":
        """Return the measurement that `to_row` wrote."""
        time = memory = None
        if row["median_s"] is not None:
            time = Time(
                timer=row["timer"],
                median_s=row["median_s"],
                ci_low_s=row["ci_low_s"],
                ci_high_s=row["ci_high_s"],
                processes=tuple(row["processes"]),
                samples_s=tuple(samples_s),
            )
        if row["peak_bytes"] is not None:
            memory = Memory(row["peak_bytes"], row["extra_bytes"], row["memory_meter"])
        return cls(
            operator=row["operator"],
            implementation=row["implementation"],
            case=Case.from_json(row["case"]),
            status=Status(row["status"]),
            reason=row["reason"],
            time=time,
            memory=memory,
            errors={name: TensorError(**error) for name, error in row["errors"].items()},
            first_call_s=row["first_call_s"],
            flags=tuple(row["flags"]),
            measured_at=row["measured_at"],
        )
