"""Runner: measures the groups of a plan, one worker at a time, and turns every end into a row."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any

from linbench.core.environment import visible_gpus
from linbench.core.measurement import Measurement, Memory, Status, TensorError, Time
from linbench.core.registry import Registry
from linbench.core.statistics import median_interval
from linbench.execution.estimate import job_bytes
from linbench.execution.plan import Job, Plan
from linbench.execution.process import WorkerLost, WorkerProcess, safe_memory_bytes

ROUNDS = 5
MIN_ROUNDS = 3
SLOW_CALL_S = 2.0
OPEN_TIMEOUT_S = 900.0
GPU_SHARE = 0.95
CONTENDED_SHARE = 0.2
BUDGET_REASON = "the time budget (--time-budget) was spent"

Observer = Callable[[Job, str], None]


class TrialFailed(Exception):
    """A trial ended while its worker stayed well."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass
class Trial:
    """A job while it is measured.

    Attributes:
        job: What is measured.
        spent_s: Seconds that its worker has taken over it.
        answer: What the check answered, once it did.
        samples_s: Every sample so far.
        contended: How many of them were disturbed.
        ended: Status and reason, if it ended before its time.
    """

    job: Job
    spent_s: float = 0.0
    answer: dict[str, Any] | None = None
    samples_s: list[float] = field(default_factory=list)
    contended: int = 0
    ended: tuple[Status, str] | None = None
    errors: dict[str, Any] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        """Whether it can still be measured."""
        return self.ended is None

    def end(self, status: Status, reason: str) -> None:
        """Note how it ended."""
        self.ended = (status, reason or str(status))

    def measurement(self) -> Measurement:
        """Return the row."""
        status, reason = self.ended or (Status.OK, None)
        job, answer = self.job, self.answer or {}
        ok = status is Status.OK
        return Measurement(
            operator=job.operator,
            implementation=job.implementation,
            case=job.case,
            status=status,
            reason=reason,
            time=self._time(answer["timer"]) if ok and self.samples_s else None,
            memory=Memory(**answer["memory"]) if ok and "memory" in answer else None,
            errors={name: TensorError(**error) for name, error in self.errors.items()},
            first_call_s=answer.get("first_call_s"),
            flags=self._flags() if ok else (),
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _time(self, timer: str) -> Time:
        low, high = median_interval(self.samples_s)
        return Time(timer, median(self.samples_s), low, high, len(self.samples_s), tuple(self.samples_s))

    def _flags(self) -> tuple[str, ...]:
        contended = self.contended > CONTENDED_SHARE * max(1, len(self.samples_s))
        return ("contended",) if contended else ()


class Runner:
    """Measures a plan; use it as a context manager, so that its worker ends with it."""

    def __init__(self, registry: Registry, plan: Plan, observer: Observer | None = None) -> None:
        self._registry = registry
        self._plan = plan
        self._observer = observer or _unobserved
        self._protocol = plan.protocol
        self._max_memory = plan.protocol.max_memory_bytes or safe_memory_bytes()
        self._worker: WorkerProcess | None = None
        self._opened: set[str] = set()
        self._checked: set[str] = set()
        self._oracle_failures: dict[str, TrialFailed] = {}
        self._timed_out: list[Job] = []
        self._order = random.Random(0)
        self.about: dict[str, Any] = {}

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_worker()

    def measure(self) -> Iterator[list[Measurement]]:
        """Yield the rows of each group as soon as it is measured."""
        deadline = None
        if self._protocol.time_budget_s is not None:
            deadline = time.monotonic() + self._protocol.time_budget_s
        for group in self._plan.groups:
            if deadline is not None and time.monotonic() > deadline:
                trials = [Trial(job) for job in group]
                for trial in trials:
                    trial.end(Status.SKIPPED, BUDGET_REASON)
                yield [trial.measurement() for trial in trials]
            else:
                yield self._measure_group(group)

    def _measure_group(self, group: Sequence[Job]) -> list[Measurement]:
        trials = [Trial(job) for job in group]
        for trial in trials:
            self._predict(trial)
        for trial in trials:
            if trial.live:
                self._observer(trial.job, "check")
                self._check(trial)
        if not self._protocol.once:
            self._take_turns(trials)
        self._close()
        return [trial.measurement() for trial in trials]

    def _predict(self, trial: Trial) -> None:
        job = trial.job
        operator = self._registry.operator(job.operator)
        implementation = self._registry.implementation(job.implementation)
        for smaller in self._timed_out:
            if _no_smaller(job, smaller):
                reason = f"{smaller.implementation} timed out already at T = {smaller.case.T}: {smaller.case}"
                trial.end(Status.SKIPPED, reason)
                return
        needed = job_bytes(operator, implementation, job)
        allowed = self._device_bytes(job.case.device)
        if needed > allowed:
            trial.end(
                Status.SKIPPED,
                f"predicted to need {needed / 2**30:.3g} GiB; {allowed / 2**30:.3g} GiB may be used",
            )

    def _device_bytes(self, device: str) -> int:
        if device == "cpu":
            return self._max_memory
        return int(GPU_SHARE * visible_gpus()[0]["memory_bytes"])

    def _check(self, trial: Trial) -> None:
        """Check one trial, in a fresh worker if the last one is gone."""
        message = {
            "do": "check",
            "implementation": trial.job.implementation,
            "once": self._protocol.once,
            "timeout_s": self._protocol.timeout_s,
        }
        answer = self._attempt(trial, message)
        if answer is None:
            return
        trial.answer = trial.answer or answer
        trial.errors = answer["errors"]
        self._checked.add(trial.job.implementation)

    def _take_turns(self, trials: Sequence[Trial]) -> None:
        """Give every live trial its turns, in rounds of random order, so that drift meets all alike."""
        for turn in range(ROUNDS):
            live = [trial for trial in trials if trial.live and turn < _rounds(trial)]
            self._order.shuffle(live)
            for trial in live:
                self._observer(trial.job, "time")
                if trial.job.implementation not in self._checked:
                    self._check(trial)
                if trial.live:
                    self._take_turn(trial)

    def _take_turn(self, trial: Trial) -> None:
        rounds = _rounds(trial)
        message = {
            "do": "turn",
            "implementation": trial.job.implementation,
            "budget_s": self._protocol.min_time_s / rounds,
            "max_samples": max(1, self._protocol.max_samples // rounds),
        }
        answer = self._attempt(trial, message)
        if answer is not None:
            trial.samples_s += answer["samples_s"]
            trial.contended += answer["contended"]

    def _attempt(self, trial: Trial, message: dict[str, Any]) -> dict[str, Any] | None:
        """Return the worker's answer if it is ok; else end the trial by what it says, or how it was lost."""
        try:
            self._open(trial.job)
            answer = self._ask_in_time(trial, message)
        except TrialFailed as failed:
            trial.end(failed.status, failed.reason)
            return None
        except WorkerLost as lost:
            self._forget_worker()
            trial.end(lost.status, lost.reason)
            if lost.status is Status.TIMEOUT:
                self._note_timeout(trial)
            return None
        if answer.get("recycle"):
            self._end_worker()
        if answer["status"] is Status.OK:
            return answer
        trial.errors = answer.get("errors") or trial.errors
        trial.end(answer["status"], answer["reason"])
        return None

    def _ask_in_time(self, trial: Trial, message: dict[str, Any]) -> dict[str, Any]:
        start = time.monotonic()
        left = self._protocol.timeout_s - trial.spent_s
        if left <= 0:
            self._note_timeout(trial)
            raise TrialFailed(Status.TIMEOUT, self._late)
        try:
            return self._started().ask(message, left)
        finally:
            trial.spent_s += time.monotonic() - start

    def _note_timeout(self, trial: Trial) -> None:
        trial.end(Status.TIMEOUT, self._late)
        self._timed_out.append(trial.job)

    @property
    def _late(self) -> str:
        return f"not done within {self._protocol.timeout_s:.4g} s (--timeout)"

    def _open(self, job: Job) -> None:
        """Have the worker make the inputs and ask the oracle, once a case; a failure of it is kept."""
        if job.operator in self._oracle_failures:
            raise self._oracle_failures[job.operator]
        if job.operator in self._opened:
            return
        message = {"do": "open", "operator": job.operator, "case": job.case.to_json()}
        try:
            answer = self._started().ask(message, OPEN_TIMEOUT_S)
        except WorkerLost as lost:
            self._forget_worker()
            answer = {"status": lost.status, "reason": lost.reason}
        if answer["status"] is not Status.OK:
            reason = f"cannot be checked: the oracle of {job.operator} failed: {answer['reason']}"
            self._oracle_failures[job.operator] = TrialFailed(Status.ERROR, reason)
            raise self._oracle_failures[job.operator]
        self._opened.add(job.operator)

    def _started(self) -> WorkerProcess:
        if self._worker is None:
            self._worker = WorkerProcess(self._plan.plugins, self._max_memory)
            self.about = self._worker.about
        return self._worker

    def _close(self) -> None:
        """Have the worker let go of a case."""
        self._opened.clear()
        self._checked.clear()
        self._oracle_failures.clear()
        if self._worker is not None:
            try:
                self._worker.ask({"do": "close"}, OPEN_TIMEOUT_S)
            except WorkerLost:
                self._forget_worker()

    def _end_worker(self) -> None:
        if self._worker is not None:
            self._worker.end()
        self._forget_worker()

    def _forget_worker(self) -> None:
        self._worker = None
        self._opened.clear()
        self._checked.clear()


def _unobserved(job: Job, doing: str) -> None:
    del job, doing


def _rounds(trial: Trial) -> int:
    call_s = (trial.answer or {}).get("call_s", 0.0)
    return ROUNDS if call_s <= SLOW_CALL_S else MIN_ROUNDS


def _no_smaller(job: Job, other: Job) -> bool:
    """Return whether a job is the same as another but for a T that is at least as large."""
    return (
        job.implementation == other.implementation
        and job.case.T >= other.case.T
        and job.case.to_json() | {"T": 0} == other.case.to_json() | {"T": 0}
    )
