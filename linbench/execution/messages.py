"""Messages: what a worker can be asked, and what it answers; a name and a JSON object per line, never pickle.

Whoever asks knows by the request which answer is due; `Failure` may come instead of any. What comes from a
worker is checked against these types before it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar, get_args

from linbench.core.case import Case
from linbench.core.ceiling import Ceiling
from linbench.core.codec import decode_text, encode_text
from linbench.core.measurement import Cause, Kernel, Memory, Status, TensorError
from linbench.core.profile import Breakdown
from linbench.core.samples import Samples
from linbench.core.tensor import ExpectedSample
from linbench.core.work import Work

MESSAGE_VERSION: Final = 2
"""Of these messages; a worker that speaks another one is refused."""


class Answer:
    """What a worker says."""


A = TypeVar("A", bound=Answer)


class Request(Generic[A]):
    """What a worker is asked; the type that it is subscripted with is the answer that is due."""


@dataclass(frozen=True)
class ExpectedValues:
    """What a worker needs to know that does not ask the reference itself, and the approximation.

    Attributes:
        sample: Of the exact value of each tensor.
        tolerances: The largest relative L2 error of each tensor that counts as right.
        approximation: How far the operator is from the one that it approximates, by tensor.
    """

    sample: Mapping[str, ExpectedSample]
    tolerances: Mapping[str, float]
    approximation: Mapping[str, float]


@dataclass(frozen=True)
class Hello(Answer):
    """What a worker says of itself when it is started.

    Attributes:
        message_version: Which messages it speaks.
        python: Version.
        torch: Version.
        cuda: Version that torch was built with; None without.
        threads: That torch may use.
        cuda_available: Whether torch can use a GPU.
        implementations: Full names of those that it has.
        broken: Why plugins could not be loaded, by name.
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
    """What was asked for was not done.

    Attributes:
        status: How it ended; never ok.
        reason: One line.
        cause: What the reason means to a program.
        errors: By tensor, where a result was judged.
        must_end: Whether the worker is of no further use.
    """

    status: Status
    reason: str
    cause: Cause | None = None
    errors: Mapping[str, TensorError] = field(default_factory=dict)
    must_end: bool = False


@dataclass(frozen=True)
class Done(Answer):
    """What was asked for was done, and there is nothing to tell."""


@dataclass(frozen=True)
class ExpectedResult(Answer):
    """The inputs of a case were made; what the reference says, if it was asked here."""

    expected_values: ExpectedValues | None


@dataclass(frozen=True)
class CheckResult(Answer):
    """A result was right.

    Attributes:
        errors: By tensor.
        first_call_s: Seconds of the first call, compilation and loading included.
        work: What the call has to do.
        timer: Name of the timer that it was warmed up under; empty where it was not.
        call_s: Seconds of a warm call; None where it was not warmed up.
        deterministic: Whether the same inputs gave the same bits twice; None where it was not tried.
        kernels: What the call launched.
        memory: What it needs; None where it was not weighed, or takes too long to be weighed here.
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
    """What a call needs, by the resident set of the worker."""

    memory: Memory


@dataclass(frozen=True)
class TimingResult(Answer):
    """Samples of timed calls."""

    samples: Samples


@dataclass(frozen=True)
class ProfileResult(Answer):
    """What a profiler saw of a call.

    Attributes:
        breakdown: Where the time went; None if that was not asked for, or is read elsewhere.
        memory: What the peak was for, bytes by part; empty if that was not asked for.
    """

    breakdown: Breakdown | None = None
    memory: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CeilingsResult(Answer):
    """The ceilings of a device."""

    ceilings: tuple[Ceiling, ...]


@dataclass(frozen=True)
class CheckSupport(Request[Done]):
    """Say whether an implementation takes a case, before anything is made for it."""

    implementation: str
    case: Case


@dataclass(frozen=True)
class PrepareCase(Request[ExpectedResult]):
    """Make the inputs of a case; the reference is asked unless what it said elsewhere is given."""

    operator: str
    case: Case
    expected_values: ExpectedValues | None


@dataclass(frozen=True)
class CheckOnce(Request[CheckResult]):
    """Run an implementation at an opened case once, and check the result."""

    implementation: str


@dataclass(frozen=True)
class Check(Request[CheckResult]):
    """Check an implementation in one more process, and warm it up.

    Attributes:
        implementation: Full name.
        timer: Name of the timer that it will be timed with.
        timeout_s: How long the worker may take; a call that takes much of it is not warmed up.
    """

    implementation: str
    timer: str
    timeout_s: float


@dataclass(frozen=True)
class FullCheck(Request[CheckResult]):
    """The same in the first process: repeated, called with other inputs, and weighed too."""

    implementation: str
    timer: str
    timeout_s: float


@dataclass(frozen=True)
class MeasureMemory(Request[MemoryResult]):
    """Weigh a call by the resident set of a fresh worker."""

    implementation: str


@dataclass(frozen=True)
class TakeTurn(Request[TimingResult]):
    """Take a turn of timed calls of an implementation that was checked.

    Attributes:
        implementation: Full name.
        timer: Name of the timer.
        duration_s: Timed seconds.
        max_samples: Most calls.
    """

    implementation: str
    timer: str
    duration_s: float
    max_samples: int


@dataclass(frozen=True)
class CheckTurn(Request[Done]):
    """Check what the last timed call of an implementation returned."""

    implementation: str


@dataclass(frozen=True)
class TimeCalibration(Request[TimingResult]):
    """Time the calibration op for a moment, on the device and by the timer of a turn."""

    timer: str
    device: str


@dataclass(frozen=True)
class ReleaseCases(Request[Done]):
    """Let go of every opened case."""


@dataclass(frozen=True)
class ProfileCall(Request[ProfileResult]):
    """Look at a call under a profiler.

    Attributes:
        implementation: Full name.
        case: Where.
        tool: One of `linbench.core.profile.TOOLS`.
        folder: Where files go that are to be kept.
    """

    implementation: str
    case: Case
    tool: str
    folder: str


@dataclass(frozen=True)
class MeasureCeilings(Request[CeilingsResult]):
    """Measure the ceilings of a kind of device."""

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
    """Return a message as a line, without its end."""
    return type(message).__name__.encode() + b" " + encode_text(message)


def from_line(line: bytes) -> object:
    """Return the message of a line.

    Raises:
        ValueError: It is none.
    """
    name, _, text = line.partition(b" ")
    kind = TYPES.get(name[:64].decode("ascii", "replace"))
    if kind is None:
        raise ValueError(f"{bytes(line[:80])!r}")
    return decode_text(kind, text)
