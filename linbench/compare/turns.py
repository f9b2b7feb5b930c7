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
from linbench.execution.client import NotDone, WorkerClient, spawn
from linbench.execution.fork import Zygote
from linbench.execution.messages import (
    Answer,
    AskSupport,
    Check,
    Checked,
    Hello,
    JudgeTurn,
    Oracle,
    Request,
    Study,
    TakeTurn,
    Weigh,
)
from linbench.execution.process import Launch
from linbench.execution.schedule import Job
from linbench.execution.slot import NotOpened, Slot
from linbench.statistics.paired import LEAST_ROUNDS, settled

MOST_ROUNDS: Final = 40
TIMED_S: Final = 2.0  # in a process, of both sides together
TURNS_A_ROUND: Final = 4
SAME_ORACLE: Final = 1e-9  # float64 on other threads or another torch, relative
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
class Studied:
    """What one side gave at a case when it was run once.

    Attributes:
        status: How that ended.
        reason: One line that says why, unless it was ok.
        errors: Relative L2 error of each tensor against the oracle.
        memory: Of one call.
        oracle: What its worker needs to know to check further processes.
    """

    status: Status
    reason: str | None = None
    errors: Mapping[str, float] = field(default_factory=dict)
    memory: Memory | None = None
    oracle: Oracle | None = field(default=None, repr=False)


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


class Ended(Exception):
    """A side ended before its time; no number comes of it."""

    def __init__(self, side: int, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.side = side
        self.status = status
        self.reason = " ".join(reason.split()) or str(status)


class Live:
    """The workers of both sides, one and the same if a process holds both, and what was opened in them."""

    def __init__(self, starts: Sequence[Callable[[], WorkerClient]], device: str, settings: Settings) -> None:
        self._slots = [Slot(start, device) for start in starts]
        self._settings = settings
        self._timer = timer_name(settings.timer, device)
        self._oracles: dict[tuple[Slot, str], Oracle] = {}

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        for slot in self._slots:
            slot.end()

    def about(self) -> list[Hello]:
        """Return what each worker says of itself."""
        return [slot.about for slot in self._slots]

    def ask_support(self, side: int, job: Job) -> None:
        """Ask whether a side has the implementation and takes the case.

        Raises:
            Ended: It does not.
        """
        about = self._slots[-side].about
        if job.implementation not in about.implementations:
            broken = "; ".join(f"plugin {name} is broken: {why}" for name, why in about.broken.items())
            status = Status.ERROR if broken else Status.UNSUPPORTED
            raise Ended(side, status, broken or f"there is no implementation {job.implementation}")
        self._ask(side, AskSupport(job.implementation, job.case))

    def open(self, side: int, job: Job, oracle: Oracle | None) -> Oracle:
        """Make the inputs of a side's case, and return what the oracle says; it is asked if it is not given.

        Raises:
            Ended: The inputs could not be made, or the oracle failed.
        """
        slot = self._slots[-side]
        try:
            said = slot.open(job, oracle)
        except NotOpened as failed:
            reason = f"cannot be checked: the oracle of {job.operator} failed: {failed}"
            raise Ended(side, Status.ERROR, reason) from None
        known = oracle or said
        if known is not None:
            self._oracles[slot, job.operator] = known
        return self._oracles[slot, job.operator]

    def study(self, side: int, job: Job) -> Checked:
        """Return what a side gives in a first process: it is weighed and called with other inputs too."""
        return self._ask(side, Study(job.implementation, self._timer, self._settings.timeout_s))

    def check(self, side: int, job: Job) -> None:
        """Check the first call of a side in one more process, and warm it up."""
        self._ask(side, Check(job.implementation, self._timer, self._settings.timeout_s))

    def weigh(self, side: int, job: Job) -> Memory:
        """Return the memory of a side's call by the resident set of its worker, which made none before."""
        return self._ask(side, Weigh(job.implementation)).memory

    def turn(self, side: int, job: Job) -> Samples:
        """Return the samples of a turn."""
        budget_s = TIMED_S / MOST_ROUNDS / TURNS_A_ROUND
        request = TakeTurn(job.implementation, self._timer, budget_s, self._settings.max_samples)
        return self._ask(side, request).samples

    def judge(self, side: int, job: Job) -> None:
        """Judge what the last timed call of a side returned."""
        self._ask(side, JudgeTurn(job.implementation))

    def _ask(self, side: int, request: Request[A]) -> A:
        """Return an answer.

        Raises:
            Ended: It could not be done, or the worker was lost.
        """
        try:
            return self._slots[-side].ask(request, self._settings.timeout_s)
        except NotDone as failed:
            raise Ended(side, failed.status, failed.reason) from None


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
        self._fresh = partial(Live, starts, device, settings)

    def __enter__(self) -> Turns:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def about(self) -> list[Hello]:
        """Return what a worker of each launch says of itself: versions, plugins that are broken.

        Raises:
            EnvironmentRefused: One cannot be started.
        """
        with self._fresh() as live:
            return live.about()

    def study(self, comparison: Comparison) -> tuple[Studied, Studied]:
        """Return what each side gives when it is run once, judged against the whole oracle, and weighed.

        Where each side has a worker, each asks its own oracle. Where these differ, B is an error: the sides
        do not compute the same.
        """
        with self._fresh() as live:
            a, b = (self._studied(live, side, comparison.jobs[side]) for side in (0, 1))
        if a.oracle is not None and b.oracle is not None and comparison.a.operator == comparison.b.operator:
            other = difference(a.oracle, b.oracle)
            if other is not None:
                b = Studied(Status.ERROR, f"the two sides do not compute the same: {other}")
        return a, b

    def processes(
        self,
        comparison: Comparison,
        studied: tuple[Studied, Studied],
        doing: Callable[[], None] = lambda: None,
    ) -> Iterator[Rounds]:
        """Yield the rounds of one fresh process after another, without end.

        Args:
            comparison: The two jobs, both found ok.
            studied: What `study` returned.
            doing: Called before each turn; what it raises ends the process.

        Raises:
            Ended: A side was not right, crashed or hung.
        """
        while True:
            with self._fresh() as live:
                for side in self._order.sample((0, 1), k=2):
                    job = comparison.jobs[side]
                    live.open(side, job, studied[side].oracle)
                    live.check(side, job)
                rounds = self._rounds(live, comparison, doing)
            yield rounds

    def _rounds(self, live: Live, comparison: Comparison, doing: Callable[[], None]) -> Rounds:
        """Return rounds until the median is settled, 40 are done or 2 s were timed, and 12 at the least.

        What each side's last timed call returned is judged, and so is that of its first turns.
        """
        found = Rounds()
        spent_s = 0.0
        while len(found.log_ratios) < LEAST_ROUNDS or not (
            spent_s >= TIMED_S or len(found.log_ratios) >= MOST_ROUNDS or settled(found.log_ratios)
        ):
            times: tuple[list[float], list[float]] = ([], [])
            for side in self._order.choice(MIRRORED):
                doing()
                time_s = live.turn(side, comparison.jobs[side]).time_s
                if not found.log_ratios:
                    live.judge(side, comparison.jobs[side])
                if (mhz := self._clock_mhz()) is not None:
                    (found.a_mhz, found.b_mhz)[side].append(mhz)
                times[side].append(median(time_s))
                spent_s += sum(time_s)
            found.a_s.extend(times[0])
            found.b_s.extend(times[1])
            found.log_ratios.append(log_mean(times[1]) - log_mean(times[0]))
        for side in (0, 1):
            live.judge(side, comparison.jobs[side])
        return found

    def _studied(self, live: Live, side: int, job: Job) -> Studied:
        """Return what a side gives; a call too long for the allocator's record is weighed apart."""
        try:
            live.ask_support(side, job)
            oracle = live.open(side, job, None)
            checked = live.study(side, job)
            memory = checked.memory
            if memory is None:
                with self._fresh() as fresh:
                    fresh.open(side, job, oracle)
                    memory = fresh.weigh(side, job)
        except Ended as ended:
            return Studied(ended.status, ended.reason)
        errors = {name: error.rel_l2 for name, error in checked.errors.items()}
        return Studied(Status.OK, None, errors, memory, oracle)


def log_mean(seconds: Sequence[float]) -> float:
    """Return the logarithm of the geometric mean."""
    return math.fsum(map(math.log, seconds)) / len(seconds)


def difference(a: Oracle, b: Oracle) -> str | None:
    """Return how what two oracles said differs beyond float64's rounding, in words, or None."""
    if a.sample.keys() != b.sample.keys():
        return f"the oracle of A gives {', '.join(a.sample)}, that of B {', '.join(b.sample)}"
    for name, due in a.sample.items():
        other = b.sample[name]
        if len(due.values) != len(other.values):
            return f"their oracles give {name} in other shapes"
        scale = max(map(abs, due.values), default=0.0)
        pairs = zip(due.values, other.values, strict=True)
        worst = max((abs(value - another) for value, another in pairs), default=0.0)
        if not worst <= SAME_ORACLE * scale:
            return f"their oracles differ in {name} by up to {worst:.2g}, where the largest is {scale:.2g}"
    return None
