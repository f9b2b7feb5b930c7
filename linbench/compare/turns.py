"""Turns: both sides of a comparison, fully checked once, then timed in turns in fresh processes."""

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
TIMED_S: Final = 2.0  # per process, both sides together
TURNS_PER_ROUND: Final = 4
SAME_REFERENCE: Final = 1e-9  # relative difference in float64 with other threads or another torch
MIRRORED: Final = ((0, 1, 1, 0), (1, 0, 0, 1))


@dataclass(frozen=True)
class Comparison:
    """The jobs of both sides at one case."""

    a: Job
    b: Job

    @property
    def jobs(self) -> tuple[Job, Job]:
        """The jobs of A and B, in this order."""
        return self.a, self.b


@dataclass(frozen=True)
class FullCheckResult:
    """Full check of one side at a case: correctness and memory.

    Attributes:
        status: Outcome of the check.
        reason: Why it is not ok, in one line.
        errors: Relative L2 error of each tensor against the reference.
        memory: Memory of one call.
        expected_values: Expected values for the checks in further processes.
    """

    status: Status
    reason: str | None = None
    errors: Mapping[str, float] = field(default_factory=dict)
    memory: Memory | None = None
    expected_values: ExpectedValues | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Rounds:
    """The rounds of one process.

    Attributes:
        log_ratios: log(B / A) of each round, with the geometric mean of each side's two turns.
        a_s: Time of one call of A in each turn, in order, seconds.
        b_s: Time of one call of B, likewise.
        a_mhz: Clock of the GPU's multiprocessors at the end of each turn of A, MHz; empty if not read.
        b_mhz: The clock at the end of each turn of B, likewise.
    """

    log_ratios: list[float] = field(default_factory=list)
    a_s: list[float] = field(default_factory=list)
    b_s: list[float] = field(default_factory=list)
    a_mhz: list[float] = field(default_factory=list)
    b_mhz: list[float] = field(default_factory=list)


A = TypeVar("A", bound=Answer)


class SideFailed(Exception):
    """A side failed while it was checked or timed; there is no result."""

    def __init__(self, side: int, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.side = side
        self.status = status
        self.reason = " ".join(reason.split()) or str(status)


class SideWorkers:
    """The workers of both sides (a single worker if one process runs both) and their expected values."""

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
        """Return the greeting of each worker: versions, implementations and broken plugins."""
        return [slot.about for slot in self._slots]

    def check_support(self, side: int, job: Job) -> None:
        """Check that a side has the implementation and that it supports the case.

        Raises:
            SideFailed: The implementation is missing or does not support the case.
        """
        about = self._slots[-side].about
        if job.implementation not in about.implementations:
            broken = "; ".join(f"plugin {name} is broken: {reason}" for name, reason in about.broken.items())
            status = Status.ERROR if broken else Status.UNSUPPORTED
            raise SideFailed(side, status, broken or f"there is no implementation {job.implementation}")
        self._ask(side, CheckSupport(job.implementation, job.case))

    def open(self, side: int, job: Job, expected_values: ExpectedValues | None) -> ExpectedValues:
        """Make the inputs of a side's case; return the expected values, which are computed if None is passed.

        Raises:
            SideFailed: The inputs could not be made, or the reference failed.
        """
        slot = self._slots[-side]
        try:
            computed_values = slot.prepare(job, expected_values)
        except PrepareFailed as failure:
            raise SideFailed(side, failure.status, failure.reason) from None
        new_values = expected_values or computed_values
        if new_values is not None:
            self._expected_values[slot, job.operator] = new_values
        return self._expected_values[slot, job.operator]

    def full_check(self, side: int, job: Job) -> CheckResult:
        """Return the full check of a side: its memory is measured, and it is called with other inputs too."""
        return self._ask(side, FullCheck(job.implementation, self._timer, self._settings.timeout_s))

    def check(self, side: int, job: Job) -> None:
        """Check the first call of a side in a further process, and warm it up."""
        self._ask(side, Check(job.implementation, self._timer, self._settings.timeout_s))

    def measure_memory(self, side: int, job: Job) -> Memory:
        """Return the memory of a side's first call in its worker, by the resident set size."""
        return self._ask(side, MeasureMemory(job.implementation)).memory

    def turn(self, side: int, job: Job) -> Samples:
        """Return the samples of a turn."""
        duration_s = TIMED_S / MOST_ROUNDS / TURNS_PER_ROUND
        request = TakeTurn(job.implementation, self._timer, duration_s, self._settings.max_samples)
        return self._ask(side, request).samples

    def judge(self, side: int, job: Job) -> None:
        """Check the result of the last timed call of a side."""
        self._ask(side, CheckTurn(job.implementation))

    def _ask(self, side: int, request: Request[A]) -> A:
        """Return the answer of a side's worker.

        Raises:
            SideFailed: The request failed, or the worker was lost.
        """
        try:
            return self._slots[-side].ask(request, self._settings.timeout_s)
        except RequestError as failure:
            raise SideFailed(side, failure.status, failure.reason) from None


class Turns:
    """Starts the workers of two sides; use it as a context manager, which ends them on exit.

    With one launch, every process runs both sides; with two, each side has its own worker and only one worker
    computes at a time. On the CPU, fresh processes are forked from a process that has imported torch (one per
    interpreter); on CUDA they are spawned.
    """

    def __init__(
        self,
        launches: Sequence[Launch],
        device: str,
        settings: Settings,
        seed: int = 0,
        clock_mhz: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Prepare to start workers.

        Args:
            launches: One launch for both sides, or one per side.
            device: cpu or cuda.
            settings: The timer and the limits of a worker.
            seed: Random seed of the order of turns.
            clock_mhz: Reads the GPU clock; returns None if there is none or it cannot be read.

        Raises:
            EnvironmentRefused: An interpreter cannot be started.
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
        """Return the greeting of a worker of each launch: versions, implementations and broken plugins.

        Raises:
            EnvironmentRefused: A worker cannot be started.
        """
        with self._fresh() as workers:
            return workers.about()

    def full_check(self, comparison: Comparison) -> tuple[FullCheckResult, FullCheckResult]:
        """Return the full check of each side: correctness against the reference, and memory.

        If each side has its own worker, each computes its own expected values. If these differ, the status of
        B is error: the sides do not compute the same function.
        """
        with self._fresh() as workers:
            a, b = (self._full_check(workers, side, comparison.jobs[side]) for side in (0, 1))
        if (
            a.expected_values is not None
            and b.expected_values is not None
            and comparison.a.operator == comparison.b.operator
        ):
            mismatch = difference(a.expected_values, b.expected_values)
            if mismatch is not None:
                b = FullCheckResult(Status.ERROR, f"the two sides do not compute the same: {mismatch}")
        return a, b

    def processes(
        self,
        comparison: Comparison,
        full_checks: tuple[FullCheckResult, FullCheckResult],
        before_turn: Callable[[], None] = lambda: None,
    ) -> Iterator[Rounds]:
        """Yield the rounds of one fresh process after another, indefinitely.

        Args:
            comparison: The two jobs; the full check of both was ok.
            full_checks: Results of `full_check`.
            before_turn: Called before each turn; an exception that it raises ends the process.

        Raises:
            SideFailed: A side returned a wrong result, crashed or hung.
        """
        while True:
            with self._fresh() as workers:
                for side in self._order.sample((0, 1), k=2):
                    job = comparison.jobs[side]
                    workers.open(side, job, full_checks[side].expected_values)
                    workers.check(side, job)
                rounds = self._rounds(workers, comparison, before_turn)
            yield rounds

    def _rounds(
        self, workers: SideWorkers, comparison: Comparison, before_turn: Callable[[], None]
    ) -> Rounds:
        """Return at least 12 rounds, until the median has settled, 40 rounds are done or 2 s were timed.

        The results of each side's turns in the first round and of its last timed call are checked.
        """
        rounds = Rounds()
        timed_s = 0.0
        while len(rounds.log_ratios) < LEAST_ROUNDS or not (
            timed_s >= TIMED_S or len(rounds.log_ratios) >= MOST_ROUNDS or has_settled(rounds.log_ratios)
        ):
            times: tuple[list[float], list[float]] = ([], [])
            for side in self._order.choice(MIRRORED):
                before_turn()
                time_s = workers.turn(side, comparison.jobs[side]).time_s
                if not rounds.log_ratios:
                    workers.judge(side, comparison.jobs[side])
                if (mhz := self._clock_mhz()) is not None:
                    (rounds.a_mhz, rounds.b_mhz)[side].append(mhz)
                times[side].append(median(time_s))
                timed_s += sum(time_s)
            rounds.a_s.extend(times[0])
            rounds.b_s.extend(times[1])
            rounds.log_ratios.append(log_mean(times[1]) - log_mean(times[0]))
        for side in (0, 1):
            workers.judge(side, comparison.jobs[side])
        return rounds

    def _full_check(self, workers: SideWorkers, side: int, job: Job) -> FullCheckResult:
        """Return the full check of a side; the memory of a long call is measured in a separate process."""
        try:
            workers.check_support(side, job)
            expected_values = workers.open(side, job, None)
            check_result = workers.full_check(side, job)
            memory = check_result.memory
            if memory is None:
                with self._fresh() as fresh:
                    fresh.open(side, job, expected_values)
                    memory = fresh.measure_memory(side, job)
        except SideFailed as failure:
            return FullCheckResult(failure.status, failure.reason)
        errors = {name: error.rel_l2 for name, error in check_result.errors.items()}
        return FullCheckResult(Status.OK, None, errors, memory, expected_values)


def log_mean(seconds: Sequence[float]) -> float:
    """Return the logarithm of the geometric mean."""
    return math.fsum(map(math.log, seconds)) / len(seconds)


def difference(a: ExpectedValues, b: ExpectedValues) -> str | None:
    """Return how the expected values of two references differ beyond float64 rounding, in words, or None."""
    if a.sample.keys() != b.sample.keys():
        return f"the reference of A returns {', '.join(a.sample)}, that of B {', '.join(b.sample)}"
    for name, a_sample in a.sample.items():
        b_sample = b.sample[name]
        if len(a_sample.values) != len(b_sample.values):
            return f"their references return {name} in different shapes"
        scale = max(map(abs, a_sample.values), default=0.0)
        pairs = zip(a_sample.values, b_sample.values, strict=True)
        worst = max((abs(a_value - b_value) for a_value, b_value in pairs), default=0.0)
        if not worst <= SAME_REFERENCE * scale:
            return f"their references differ in {name} by up to {worst:.2g}, where the largest is {scale:.2g}"
    return None
