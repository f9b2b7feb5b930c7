"""Workers that are made up: they answer at once what a script says, in the types of the messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from linbench.core.measurement import Memory, TensorError
from linbench.core.samples import Samples
from linbench.core.tensor import ExpectedSample
from linbench.core.work import Work
from linbench.execution.client import RequestFailure, Watch, WorkerClient
from linbench.execution.messages import (
    MESSAGE_VERSION,
    Answer,
    Check,
    CheckOnce,
    CheckResult,
    CheckSupport,
    CheckTurn,
    Done,
    ExpectedResult,
    ExpectedValues,
    Failure,
    FullCheck,
    Hello,
    MeasureMemory,
    MemoryResult,
    PrepareCase,
    ReleaseCases,
    Request,
    TakeTurn,
    TimeCalibration,
    TimingResult,
    answer_type,
)

A = TypeVar("A", bound=Answer)

MEMORY: Final = Memory(peak_bytes=10, extra_bytes=4, meter="allocator")
ERROR: Final = TensorError(rel_l2=1e-7, max_abs=1e-6, max_rel=1e-5, cosine=1.0, nonfinite=0, tolerance=1e-5)
CHECKED: Final = CheckResult(
    {"o": ERROR}, first_call_s=1.0, work=Work(0.0, None, 0), timer="cpu", call_s=1e-3
)


def hello(implementations: Sequence[str] = (), **broken: str) -> Hello:
    """Return what a worker says of itself that has these implementations, and plugins that are broken."""
    return Hello(MESSAGE_VERSION, implementations=tuple(implementations), broken=broken)


def expected_values(values: Sequence[float] = (1.0, 2.0), **approximation: float) -> ExpectedValues:
    """Return what a reference says of one tensor, o."""
    sample = ExpectedSample(index=("...",), step=1, values=tuple(values), zero_rms=0.0)
    return ExpectedValues({"o": sample}, tolerances={"o": 1e-5}, approximation=approximation)


def timed(*time_s: float) -> TimingResult:
    """Return a turn of calls that took this long."""
    return TimingResult(Samples(time_s))


def usual(request: Request[Any]) -> Answer:
    """Return what a worker answers where all is well."""
    match request:
        case PrepareCase():
            return ExpectedResult(expected_values() if request.expected_values is None else None)
        case CheckOnce() | Check():
            return CHECKED
        case FullCheck():
            return CheckResult(
                CHECKED.errors, 1.0, CHECKED.work, "cpu", 1e-3, deterministic=True, memory=MEMORY
            )
        case MeasureMemory():
            return MemoryResult(MEMORY)
        case TakeTurn() | TimeCalibration():
            return timed(1e-3)
        case CheckSupport() | CheckTurn() | ReleaseCases():
            return Done()
    raise AssertionError(f"nobody asks this here: {request}")


class FakeWorker(WorkerClient):
    """Stands for a started worker; no process belongs to it."""

    def __init__(self, answer: Callable[[Request[Any]], Answer], about: Hello | None = None) -> None:
        self.about = about or hello()
        self.ended = False
        self._answer_to = answer

    def ask(self, request: Request[A], timeout_s: float, watch: Watch | None = None) -> A:
        """Return what the script says, which is of the type that is due."""
        assert timeout_s > 0
        assert not self.ended
        if watch is not None:
            watch()
        answer = self._answer_to(request)
        if isinstance(answer, Failure):
            raise RequestFailure(answer)
        assert isinstance(answer, answer_type(request)), answer
        return answer

    def end(self) -> None:
        """Note that it was ended."""
        self.ended = True


@dataclass(frozen=True)
class Asked:
    """What one of several workers was asked.

    Attributes:
        worker: Its number, from 0.
        request: The request.
    """

    worker: int
    request: Request[Any]

    @property
    def implementation(self) -> str:
        """The implementation that the request names; empty where it names none."""
        return str(getattr(self.request, "implementation", ""))


class Script:
    """What made-up workers answer: what `say` was told of a request, else what is usual; all that was asked.

    Attributes:
        made: Every worker, in the order in which they were started.
        log: What they were asked, in order.
        about: By plugin, what a worker says of itself that was started with it.
    """

    def __init__(self, about: Hello) -> None:
        self.made: list[FakeWorker] = []
        self.log: list[Asked] = []
        self.about: dict[str, Hello] = {}
        self._about = about
        self._said: dict[tuple[type[Request[Any]], str], Callable[[], Answer]] = {}

    def say(self, kind: type[Request[A]], name: str, answer: Callable[[], A | Failure]) -> None:
        """Have requests of a kind that name an implementation, or go to a plugin's worker, answered so."""
        self._said[kind, name] = answer

    def start(self, plugins: Sequence[str] = ()) -> FakeWorker:
        """Return a further worker."""
        number = len(self.made)

        def answer(request: Request[Any]) -> Answer:
            asked = Asked(number, request)
            self.log.append(asked)
            for name in (asked.implementation, *plugins):
                if (said := self._said.get((type(request), name))) is not None:
                    return said()
            return usual(request)

        about = next((self.about[plugin] for plugin in plugins if plugin in self.about), self._about)
        self.made.append(FakeWorker(answer, about))
        return self.made[-1]

    def of(self, kind: type[Request[Any]]) -> list[Asked]:
        """Return every request of a kind."""
        return [asked for asked in self.log if isinstance(asked.request, kind)]
