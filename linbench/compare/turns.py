"""Turns: both sides of a comparison live at once, studied once, then timed in turns in fresh processes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Final, TypeVar

from linbench.core.measurement import Memory, Status
from linbench.core.plan import Settings
from linbench.core.samples import Samples
from linbench.core.timer import timer_name
from linbench.execution.client import RequestError, WorkerClient, spawn
from linbench.execution.fork import Zygote
from linbench.execution.messages import (
    Answer,
    Check,
    CheckResult,
    CheckSupport,
    CheckTurn,
    ExpectedValues,
    FullCheck,
    Hello,
    MeasureMemory,
    Request,
    TakeTurn,
)
from linbench.execution.process import Launch
from linbench.execution.schedule import Job
from linbench.execution.slot import PrepareFailed, Slot
from linbench.statistics.paired import LEAST_ROUNDS, has_settled

MOST_ROUNDS: Final = 40
TIMED_S: Final = 2.0  # in a process, of both sides together
TURNS_A_ROUND: Final = 4
SAME_REFERENCE: Final = 1e-9  # float64 on other threads or another torch, relative
MIRRORED: Final = ((0, 1, 1, 0), (1, 0, 0, 1))


@dataclass(frozen=True)
class Comparison:
    """One case, and the job that stands for each side at it."""

    a: Job
    b: Job

    @property
    def jobs(self) -> tuple[Job, Job]:
        """Both, A first."""
        return self.a, self.b


@dataclass(frozen=True)
class FullCheckResult:
    """What one side gave at a case when it was run once.

    Attributes:
        status: How that ended.
        reason: One line that says why, unless it was ok.
        errors: Relative L2 error of each tensor against the reference.
        memory: Of one call.
        expected_values: What its worker needs to know to check further processes.
    """

    status: Status
    reason: str | None = None
    errors: Mapping[str, float] = field(default_factory=dict)
    memory: Memory | None = None
    expected_values: ExpectedValues | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Rounds:
    """What the rounds of one process gave.

    Attributes:
        log_ratios: log(B / A) of each round, where the two turns of a side give their geometric mean.
        a_s: Time of one call of A in each turn, in order, seconds.
        b_s: The same of B.
        a_mhz: Clock of the GPU's multiprocessors as each turn of A ended, MHz; empty where it is not read.
        b_mhz: The same of B.
    """

    log_ratios: list[float] = field(default_factory=list)
    a_s: list[float] = field(default_factory=list)
    b_s: list[float] = field(default_factory=list)
    a_mhz: list[float] = field(default_factory=list)
    b_mhz: list[float] = field(default_factory=list)


A = TypeVar("A", bound=Answer)


class SideFailed(Exception):
    """A side ended before its time; no number comes of it."""

    def __init__(self, side: int, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.side = side
        self.status = status
        self.reason = " ".join(reason.split()) or str(status)


class SideWorkers:
    """The workers of both sides, one and the same if a process holds both, and what was opened in them."""

    def __init__(self, starts: Sequence[Callable[[], WorkerClient]], device: str, settings: Settings) -> None:
        self._slots = [Slot(start, device) for start in starts]
        self._settings = settings
        self._timer = timer_name(settings.timer, device)
        self._expected_values: dict[tuple[Slot, str], ExpectedValues] = {}

    def __enter__(self) -> SideWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        for slot in self._slots:
            slot.end()

    def about(self) -> list[Hello]:
        """Return what each worker says of itself."""
        return [slot.about for slot in self._slots]

    def check_support(self, side: int, job: Job) -> None:
        """Ask whether a side has the implementation and takes the case.

        Raises:
            SideFailed: It does not.
        """
        about = self._slots[-side].about
        if job.implementation not in about.implementations:
            broken = "; ".join(f"plugin {name} is broken: {why}" for name, why in about.broken.items())
            status = Status.ERROR if broken else Status.UNSUPPORTED
            raise SideFailed(side, status, broken or f"there is no implementation {job.implementation}")
        self._ask(side, CheckSupport(job.implementation, job.case))

    def open(self, side: int, job: Job, expected_values: ExpectedValues | None) -> ExpectedValues:
        """Make the inputs of a side's case; return the expected values, computed here unless they are given.

        Raises:
            SideFailed: The inputs could not be made, or the reference failed.
        """
        slot = self._slots[-side]
        try:
            said = slot.prepare(job, expected_values)
        except PrepareFailed as failed:
            reason = f"cannot be checked: the reference of {job.operator} failed: {failed}"
            raise SideFailed(side, Status.ERROR, reason) from None
        known = expected_values or said
        if known is not None:
            self._expected_values[slot, job.operator] = known
        return self._expected_values[slot, job.operator]

    def full_check(self, side: int, job: Job) -> CheckResult:
        """Return what a side gives in a first process: it is weighed and called with other inputs too."""
        return self._ask(side, FullCheck(job.implementation, self._timer, self._settings.timeout_s))

    def check(self, side: int, job: Job) -> None:
        """Check the first call of a side in one more process, and warm it up."""
        self._ask(side, Check(job.implementation, self._timer, self._settings.timeout_s))

    def measure_memory(self, side: int, job: Job) -> Memory:
        """Return the memory of a side's call by the resident set of its worker, which made none before."""
        return self._ask(side, MeasureMemory(job.implementation)).memory

    def turn(self, side: int, job: Job) -> Samples:
        """Return the samples of a turn."""
        duration_s = TIMED_S / MOST_ROUNDS / TURNS_A_ROUND
        request = TakeTurn(job.implementation, self._timer, duration_s, self._settings.max_samples)
        return self._ask(side, request).samples

    def judge(self, side: int, job: Job) -> None:
        """Judge what the last timed call of a side returned."""
        self._ask(side, CheckTurn(job.implementation))

    def _ask(self, side: int, request: Request[A]) -> A:
        """Return an answer.

        Raises:
            SideFailed: It could not be done, or the worker was lost.
        """
        try:
            return self._slots[-side].ask(request, self._settings.timeout_s)
        except RequestError as failed:
            raise SideFailed(side, failed.status, failed.reason) from None


class Turns:
    """Starts workers of two sides; use it as a context manager, so that they end with it.

    One launch has every process hold both sides; two have a worker each, of which one computes at a time. On
    the CPU fresh processes are forked from one that has imported torch, both sides from the same unless their
    interpreters differ; on CUDA they are spawned.
    """

    def __init__(
        self,
        launches: Sequence[Launch],
        device: str,
        settings: Settings,
        seed: int = 0,
        clock_mhz: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Begin to start workers.

        Args:
            launches: One that holds both sides, or one a side.
            device: cpu or cuda.
            settings: The timer, and what a worker may take.
            seed: Of the order of turns.
            clock_mhz: Reads the clock of the GPU; None where there is none, or it does not tell.

        Raises:
            EnvironmentRefused: An interpreter cannot be run.
        """
        self._order = random.Random(seed)
        self._clock_mhz = clock_mhz
        self._stack = ExitStack()
        starts: list[Callable[[], WorkerClient]] = []
        zygotes: dict[str, Zygote] = {}
        for launch in launches:
            if device != "cpu":
                starts.append(partial(spawn, launch))
                continue
            if launch.interpreter not in zygotes:
                zygote = zygotes[launch.interpreter] = Zygote(launch)
                self._stack.callback(zygote.end)
            starts.append(partial(zygotes[launch.interpreter].fork, launch))
        self._fresh = partial(SideWorkers, starts, device, settings)

    def __enter__(self) -> Turns:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def about(self) -> list[Hello]:
        """Return what a worker of each launch says of itself: versions, plugins that are broken.

        Raises:
            EnvironmentRefused: One cannot be started.
        """
        with self._fresh() as workers:
            return workers.about()

    def full_check(self, comparison: Comparison) -> tuple[FullCheckResult, FullCheckResult]:
        """Return the full check of each side: correctness against the whole reference, and memory.

        Where each side has a worker, each computes its own expected values. Where these differ, B is an
        error: the sides do not compute the same.
        """
        with self._fresh() as workers:
            a, b = (self._full_check(workers, side, comparison.jobs[side]) for side in (0, 1))
        if (
            a.expected_values is not None
            and b.expected_values is not None
            and comparison.a.operator == comparison.b.operator
        ):
            other = difference(a.expected_values, b.expected_values)
            if other is not None:
                b = FullCheckResult(Status.ERROR, f"the two sides do not compute the same: {other}")
        return a, b

    def processes(
        self,
        comparison: Comparison,
        full_checks: tuple[FullCheckResult, FullCheckResult],
        doing: Callable[[], None] = lambda: None,
    ) -> Iterator[Rounds]:
        """Yield the rounds of one fresh process after another, without end.

        Args:
            comparison: The two jobs, both found ok.
            full_checks: What `full_check` returned.
            doing: Called before each turn; what it raises ends the process.

        Raises:
            SideFailed: A side was not right, crashed or hung.
        """
        while True:
            with self._fresh() as workers:
                for side in self._order.sample((0, 1), k=2):
                    job = comparison.jobs[side]
                    workers.open(side, job, full_checks[side].expected_values)
                    workers.check(side, job)
                rounds = self._rounds(workers, comparison, doing)
            yield rounds

    def _rounds(self, workers: SideWorkers, comparison: Comparison, doing: Callable[[], None]) -> Rounds:
        """Return rounds until the median is settled, 40 are done or 2 s were timed, and 12 at the least.

        What each side's last timed call returned is judged, and so is that of its first turns.
        """
        found = Rounds()
        spent_s = 0.0
        while len(found.log_ratios) < LEAST_ROUNDS or not (
            spent_s >= TIMED_S or len(found.log_ratios) >= MOST_ROUNDS or has_settled(found.log_ratios)
        ):
            times: tuple[list[float], list[float]] = ([], [])
            for side in self._order.choice(MIRRORED):
                doing()
                time_s = workers.turn(side, comparison.jobs[side]).time_s
                if not found.log_ratios:
                    workers.judge(side, comparison.jobs[side])
                if (mhz := self._clock_mhz()) is not None:
                    (found.a_mhz, found.b_mhz)[side].append(mhz)
                times[side].append(median(time_s))
                spent_s += sum(time_s)
            found.a_s.extend(times[0])
            found.b_s.extend(times[1])
            found.log_ratios.append(log_mean(times[1]) - log_mean(times[0]))
        for side in (0, 1):
            workers.judge(side, comparison.jobs[side])
        return found

    def _full_check(self, workers: SideWorkers, side: int, job: Job) -> FullCheckResult:
        """Return what a side gives; a call too long for the allocator's record is weighed apart."""
        try:
            workers.check_support(side, job)
            expected_values = workers.open(side, job, None)
            check_result = workers.full_check(side, job)
            memory = check_result.memory
            if memory is None:
                with self._fresh() as fresh:
                    fresh.open(side, job, expected_values)
                    memory = fresh.measure_memory(side, job)
        except SideFailed as ended:
            return FullCheckResult(ended.status, ended.reason)
        errors = {name: error.rel_l2 for name, error in check_result.errors.items()}
        return FullCheckResult(Status.OK, None, errors, memory, expected_values)


def log_mean(seconds: Sequence[float]) -> float:
    """Return the logarithm of the geometric mean."""
    return math.fsum(map(math.log, seconds)) / len(seconds)


def difference(a: ExpectedValues, b: ExpectedValues) -> str | None:
    """Return how what two references said differs beyond float64's rounding, in words, or None."""
    if a.sample.keys() != b.sample.keys():
        return f"the reference of A gives {', '.join(a.sample)}, that of B {', '.join(b.sample)}"
    for name, due in a.sample.items():
        other = b.sample[name]
        if len(due.values) != len(other.values):
            return f"their references give {name} in other shapes"
        scale = max(map(abs, due.values), default=0.0)
        pairs = zip(due.values, other.values, strict=True)
        worst = max((abs(value - another) for value, another in pairs), default=0.0)
        if not worst <= SAME_REFERENCE * scale:
            return f"their references differ in {name} by up to {worst:.2g}, where the largest is {scale:.2g}"
    return None
