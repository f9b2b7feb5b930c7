"""Messages: the requests to a worker and its answers, each a name and a JSON object on one line; no pickle.

The type of a request determines the type of its answer; `Failure` may come instead of any. Messages from a
worker are validated against these types before use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar, get_args

from linbench.core.case import Case
from linbench.core.ceiling import Ceiling
from linbench.core.codec import decode_text, encode_text
from linbench.core.measurement import Cause, Kernel, Memory, Status, TensorError, Tolerance
from linbench.core.profile import Breakdown
from linbench.core.samples import Samples
from linbench.core.tensor import ExpectedSample
from linbench.core.work import Work

MESSAGE_VERSION: Final = 2
"""Version of these messages; a worker that speaks another version is refused."""


class Answer:
    """An answer of a worker."""


A = TypeVar("A", bound=Answer)


class Request(Generic[A]):
    """A request to a worker; the type argument is the type of its answer."""


@dataclass(frozen=True)
class ExpectedValues:
    """The expected values of a case, for a worker that does not compute the reference, and the approximation.

    Attributes:
        sample: Samples of the expected values of each tensor.
        tolerances: Largest correct relative L2 error of each tensor.
        approximation: Relative L2 distance from the operator that is approximated, by tensor.
    """

    sample: Mapping[str, ExpectedSample]
    tolerances: Mapping[str, Tolerance]
    approximation: Mapping[str, float]


@dataclass(frozen=True)
class Hello(Answer):
    """The description that a worker sends when it has started.

    Attributes:
        message_version: Version of the messages that it speaks.
        python: Version of Python.
        torch: Version of torch.
        cuda: Version of CUDA that torch was built with; None without CUDA.
        threads: Number of threads that torch may use.
        cuda_available: Whether torch can use a GPU.
        implementations: Full names of the implementations that it has loaded.
        broken: Reason why each broken plugin could not be loaded, by name.
    """

    message_version: int
    python: str = ""
    torch: str = ""
    cuda: str | None = None
    threads: int = 1
    cuda_available: bool = False
    implementations: tuple[str, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure(Answer):
    """A request failed.

    Attributes:
        status: The status of the row; never ok.
        reason: The reason, in one line.
        cause: The machine-readable cause.
        errors: The error of each tensor, where a result was compared with its expected values.
        must_end: Whether the worker must be replaced.
    """

    status: Status
    reason: str
    cause: Cause | None = None
    errors: Mapping[str, TensorError] = field(default_factory=dict)
    must_end: bool = False


@dataclass(frozen=True)
class Done(Answer):
    """A request without a result succeeded."""


@dataclass(frozen=True)
class ExpectedResult(Answer):
    """The inputs of a case are ready; the expected values, if this worker computed them."""

    expected_values: ExpectedValues | None


@dataclass(frozen=True)
class CheckResult(Answer):
    """A result was correct.

    Attributes:
        errors: The error of each tensor.
        first_call_s: Duration of the first call, compilation and loading included, seconds.
        work: The work of the call.
        timer: Name of the timer of the warm-up; empty without a warm-up.
        call_s: Duration of a warm call, seconds; None without a warm-up.
        deterministic: Whether two calls on the same inputs returned the same bits; None if not tested.
        kernels: The kernels that the call launched.
        memory: Memory of the call; None if it was not measured, or the call is too long to measure it here.
    """

    errors: Mapping[str, TensorError]
    first_call_s: float
    work: Work
    timer: str = ""
    call_s: float | None = None
    deterministic: bool | None = None
    kernels: tuple[Kernel, ...] = ()
    memory: Memory | None = None


@dataclass(frozen=True)
class MemoryResult(Answer):
    """The memory of a call, by the resident set size of the worker."""

    memory: Memory


@dataclass(frozen=True)
class TimingResult(Answer):
    """Samples of timed calls."""

    samples: Samples


@dataclass(frozen=True)
class ProfileResult(Answer):
    """The profile of a call.

    Attributes:
        breakdown: The time by operator; None if it was not requested, or is read from the profiler's files.
        memory: The peak memory by part, bytes; empty if it was not requested.
    """

    breakdown: Breakdown | None = None
    memory: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CeilingsResult(Answer):
    """The ceilings of a device."""

    ceilings: tuple[Ceiling, ...]


@dataclass(frozen=True)
class CheckSupport(Request[Done]):
    """Check whether an implementation supports a case, before inputs are made for it."""

    implementation: str
    case: Case


@dataclass(frozen=True)
class PrepareCase(Request[ExpectedResult]):
    """Make the inputs of a case, and compute its expected values unless another worker's are passed."""

    operator: str
    case: Case
    expected_values: ExpectedValues | None


@dataclass(frozen=True)
class CheckOnce(Request[CheckResult]):
    """Call an implementation once on a prepared case, and check the result."""

    implementation: str


@dataclass(frozen=True)
class Check(Request[CheckResult]):
    """Check an implementation in a further process, and warm it up.

    Attributes:
        implementation: Full name.
        timer: Name of the timer that will time it.
        timeout_s: Time limit of the request, seconds; a call that takes much of it is not warmed up.
    """

    implementation: str
    timer: str
    timeout_s: float


@dataclass(frozen=True)
class FullCheck(Request[CheckResult]):
    """Check an implementation in the first process: also for determinism, on other inputs, and its memory."""

    implementation: str
    timer: str
    timeout_s: float


@dataclass(frozen=True)
class MeasureMemory(Request[MemoryResult]):
    """Measure the memory of a call by the resident set size of a fresh worker."""

    implementation: str


@dataclass(frozen=True)
class TakeTurn(Request[TimingResult]):
    """Time a turn of calls of a checked implementation.

    Attributes:
        implementation: Full name.
        timer: Name of the timer.
        duration_s: Total timed duration, seconds.
        max_samples: Largest number of calls.
    """

    implementation: str
    timer: str
    duration_s: float
    max_samples: int


@dataclass(frozen=True)
class CheckTurn(Request[Done]):
    """Check the result of the last timed call of an implementation."""

    implementation: str


@dataclass(frozen=True)
class TimeCalibration(Request[TimingResult]):
    """Time the calibration op for a moment, on the device and with the timer of a turn."""

    timer: str
    device: str


@dataclass(frozen=True)
class ReleaseCases(Request[Done]):
    """Release every prepared case."""


@dataclass(frozen=True)
class ProfileCall(Request[ProfileResult]):
    """Profile a call.

    Attributes:
        implementation: Full name.
        case: The case to profile.
        tool: One of `linbench.core.profile.TOOLS`.
        folder: Folder for the profiler's files.
    """

    implementation: str
    case: Case
    tool: str
    folder: str


@dataclass(frozen=True)
class MeasureCeilings(Request[CeilingsResult]):
    """Measure the ceilings of a device kind."""

    device: str


Message = Request[Answer] | Answer

TYPES: Final[dict[str, type[object]]] = {
    kind.__name__: kind
    for kind in (
        *(
            Hello,
            Failure,
            Done,
            ExpectedResult,
            CheckResult,
            MemoryResult,
            TimingResult,
            ProfileResult,
            CeilingsResult,
        ),
        *(
            CheckSupport,
            PrepareCase,
            CheckOnce,
            Check,
            FullCheck,
            MeasureMemory,
            TakeTurn,
            CheckTurn,
            TimeCalibration,
            ReleaseCases,
        ),
        *(ProfileCall, MeasureCeilings),
    )
}


def answer_type(request: Request[A]) -> type[A]:
    """Return the type of the answer to a request."""
    (base,) = vars(type(request))["__orig_bases__"]
    answer: type[A] = get_args(base)[0]
    return answer


def to_line(message: object) -> bytes:
    """Return a message as one line, without the newline."""
    return type(message).__name__.encode() + b" " + encode_text(message)


def from_line(line: bytes) -> object:
    """Return the message of a line.

    Raises:
        ValueError: The line is no valid message.
    """
    name, _, text = line.partition(b" ")
    kind = TYPES.get(name[:64].decode("ascii", "replace"))
    if kind is None:
        raise ValueError(f"{bytes(line[:80])!r}")
    return decode_text(kind, text)
