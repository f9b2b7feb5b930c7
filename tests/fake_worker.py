"""Fake workers: they answer immediately with scripted answers, in the types of the messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from linbench.core.measurement import Memory, TensorError, Tolerance
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
CHECK_RESULT: Final = CheckResult(
    {"o": ERROR}, first_call_s=1.0, work=Work(0.0, None, 0), timer="cpu", call_s=1e-3
)


def hello(implementations: Sequence[str] = (), **broken: str) -> Hello:
    """Return the description of a worker with these implementations and broken plugins."""
    return Hello(MESSAGE_VERSION, implementations=tuple(implementations), broken=broken)


def expected_values(values: Sequence[float] = (1.0, 2.0), **approximation: float) -> ExpectedValues:
    """Return the expected values of one tensor, o."""
    sample = ExpectedSample(index=("...",), step=1, values=tuple(values), zero_rms=0.0)
    return ExpectedValues(
        {"o": sample}, tolerances={"o": Tolerance(1e-5, (1e-4,), 1e-5)}, approximation=approximation
    )


def timing_result(*time_s: float) -> TimingResult:
    """Return a turn of calls of these durations."""
    return TimingResult(Samples(time_s))


def default_answer(request: Request[Any]) -> Answer:
    """Return the answer of a worker whose requests all succeed."""
    match request:
        case PrepareCase():
            return ExpectedResult(expected_values() if request.expected_values is None else None)
        case CheckOnce() | Check():
            return CHECK_RESULT
        case FullCheck():
            return CheckResult(
                CHECK_RESULT.errors, 1.0, CHECK_RESULT.work, "cpu", 1e-3, deterministic=True, memory=MEMORY
            )
        case MeasureMemory():
            return MemoryResult(MEMORY)
        case TakeTurn() | TimeCalibration():
            return timing_result(1e-3)
        case CheckSupport() | CheckTurn() | ReleaseCases():
            return Done()
    raise AssertionError(f"unexpected request: {request}")


class FakeWorker(WorkerClient):
    """A stand-in for a started worker, without a process."""

    def __init__(self, answer: Callable[[Request[Any]], Answer], about: Hello | None = None) -> None:
        self.about = about or hello()
        self.ended = False
        self._answer_request = answer

    def ask(self, request: Request[A], timeout_s: float, watch: Watch | None = None) -> A:
        """Return the scripted answer, which must have the type that the request determines."""
        assert timeout_s > 0
        assert not self.ended
        if watch is not None:
            watch()
        answer = self._answer_request(request)
        if isinstance(answer, Failure):
            raise RequestFailure(answer)
        assert isinstance(answer, answer_type(request)), answer
        return answer

    def end(self) -> None:
        """Record that the worker was ended."""
        self.ended = True


@dataclass(frozen=True)
class LogEntry:
    """A request to one of several workers.

    Attributes:
        worker: Number of the worker, from 0.
        request: The request.
    """

    worker: int
    request: Request[Any]

    @property
    def implementation(self) -> str:
        """The implementation of the request; empty if the request has none."""
        return str(getattr(self.request, "implementation", ""))


class Script:
    """The answers of fake workers, those set by `say` or else the default answers; and a log of all requests.

    Attributes:
        fakes: Every worker, in the order of their starts.
        log: All requests, in order.
        about: The description of the workers that load a plugin, by plugin.
    """

    def __init__(self, about: Hello) -> None:
        self.fakes: list[FakeWorker] = []
        self.log: list[LogEntry] = []
        self.about: dict[str, Hello] = {}
        self._about = about
        self._answers: dict[tuple[type[Request[Any]], str], Callable[[], Answer]] = {}

    def say(self, kind: type[Request[A]], name: str, answer: Callable[[], A | Failure]) -> None:
        """Set the answer to requests of a kind that name an implementation, or go to a plugin's worker."""
        self._answers[kind, name] = answer

    def start(self, plugins: Sequence[str] = ()) -> FakeWorker:
        """Return a further worker."""
        number = len(self.fakes)

        def answer(request: Request[Any]) -> Answer:
            entry = LogEntry(number, request)
            self.log.append(entry)
            for name in (entry.implementation, *plugins):
                if (scripted := self._answers.get((type(request), name))) is not None:
                    return scripted()
            return default_answer(request)

        about = next((self.about[plugin] for plugin in plugins if plugin in self.about), self._about)
        self.fakes.append(FakeWorker(answer, about))
        return self.fakes[-1]

    def of(self, kind: type[Request[Any]]) -> list[LogEntry]:
        """Return every request of a kind."""
        return [entry for entry in self.log if isinstance(entry.request, kind)]
