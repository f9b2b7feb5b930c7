"""Runner: measures the groups of a schedule in several processes, and turns every end into a row."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from linbench.core.gpu import visible_gpus
from linbench.core.measurement import Cause, Measurement, Status
from linbench.core.registry import Registry
from linbench.core.telemetry import Reading
from linbench.core.timer import timer_name
from linbench.execution.client import RequestError, Watch, spawn
from linbench.execution.estimate import job_bytes
from linbench.execution.messages import (
    Answer,
    Check,
    CheckOnce,
    CheckResult,
    CheckTurn,
    ExpectedValues,
    FullCheck,
    MeasureMemory,
    Request,
    TakeTurn,
    TimeCalibration,
)
from linbench.execution.process import Launch
from linbench.execution.resident import safe_memory_bytes
from linbench.execution.schedule import Job, Schedule
from linbench.execution.slot import PrepareFailed, Slot
from linbench.execution.trial import Trial, Turn
from linbench.measure.telemetry import Monitor, disturbance, throttle_reasons

ROUNDS = 5
ROUNDS_A_PROCESS = 2
ROUNDS_AGAIN = 3
READ_EVERY_S = 0.5
SLOW_CALL_S = 2.0
FEW = 3
GPU_SHARE = 0.95
TIME_LIMIT_REASON = "the time limit (--time-limit) was spent"

Observer = Callable[[Job, str], None]
A = TypeVar("A", bound=Answer)


class Runner:
    """Measures a schedule; use it as a context manager, so that its workers end with it."""

    def __init__(
        self,
        registry: Registry,
        schedule: Schedule,
        observer: Observer | None = None,
        timed_out: Sequence[Job] = (),
    ) -> None:
        """Make ready to measure; nothing is started yet.

        Args:
            registry: Where names are looked up.
            schedule: What to measure.
            observer: Called with each job as it is taken up.
            timed_out: Jobs that timed out before; the same with a longer T are skipped.
        """
        self._registry = registry
        self._schedule = schedule
        self._plan = plan = schedule.plan
        self._settings = plan.settings
        self._observer = observer or _unobserved
        self._max_memory = plan.settings.max_memory_bytes or safe_memory_bytes()
        processes = 1 if plan.settings.once else plan.settings.processes
        self._gpu_bytes = 0
        self._cores = len(os.sched_getaffinity(0))
        environment: dict[str, str] = {}
        if plan.device == "cuda":  # the card that this run holds, whatever the order that CUDA counts in
            gpu = visible_gpus()[0]
            self._gpu_bytes = int(GPU_SHARE * gpu.memory_bytes)
            environment["CUDA_VISIBLE_DEVICES"] = gpu.uuid
        self._monitor = Monitor(environment.get("CUDA_VISIBLE_DEVICES"))
        launch = Launch(plan.plugins, self._max_memory, variables=environment)
        self._new_slot = partial(Slot, partial(spawn, launch), plan.device)
        self._slots = [self._new_slot() for _ in range(processes)]
        self._expected_values: dict[str, ExpectedValues | str] = {}
        self._timed_out = [job for job in timed_out if job.key not in {left.key for left in schedule.jobs}]
        self._order = random.Random(0)

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        for slot in self._slots:
            slot.end()

    def measure(self) -> Iterator[list[Measurement]]:
        """Yield the rows of each group as soon as it is measured."""
        deadline = None
        if self._settings.time_limit_s is not None:
            deadline = time.monotonic() + self._settings.time_limit_s
        for group in self._schedule.groups:
            trials = [Trial(job, self._settings.precision, self._cores) for job in group]
            if deadline is not None and time.monotonic() > deadline:
                for trial in trials:
                    trial.end(Status.SKIPPED, TIME_LIMIT_REASON, Cause.TIME_LIMIT)
            else:
                before = self._monitor.read()
                self._measure_group(trials)
                after = self._monitor.read()
                for trial in trials:
                    trial.before, trial.after = before, after
            yield [trial.measurement() for trial in trials]

    def _measure_group(self, trials: Sequence[Trial]) -> None:
        """Give every trial its share of each process, one process after another."""
        self._expected_values.clear()
        self._again_left = ROUNDS_AGAIN
        for trial in trials:
            self._predict(trial)
        for number, slot in enumerate(self._slots):
            wanting = [trial for trial in trials if trial.live and self._wants(trial, number)]
            for trial in wanting:
                trial.spent_s = 0.0
                self._observer(trial.job, "check")
                self._check(trial, slot)
            if not self._settings.once:
                self._take_turns(wanting, slot)
            if wanting:
                slot.close()

    def _wants(self, trial: Trial, number: int) -> bool:
        """Return whether a trial is to be measured in a process, by what the processes before it gave."""
        if number < FEW:
            return True
        found = trial.time()
        steady = found is not None and found.half_width <= self._settings.precision
        return not steady and trial.call_s <= SLOW_CALL_S

    def _predict(self, trial: Trial) -> None:
        job = trial.job
        operator = self._registry.operator(job.operator)
        implementation = self._registry.implementation(job.implementation)
        reason = operator.unsupported_reason(job.case) or implementation.missing_capability(
            operator, job.case
        )
        if reason is not None:
            trial.end(Status.UNSUPPORTED, reason)
            return
        for smaller in self._timed_out:
            if _no_smaller(job, smaller):
                reason = f"{smaller.implementation} timed out already at T = {smaller.case.T}: {smaller.case}"
                trial.end(Status.SKIPPED, reason, Cause.EARLIER_TIMEOUT)
                return
        try:
            needed = job_bytes(operator, implementation, job)
        except Exception as error:  # a stranger's extra_bytes may raise anything
            trial.end(Status.ERROR, f"its extra_bytes failed: {type(error).__name__}: {error}")
            return
        allowed = self._device_bytes(job.case.device)
        if needed > allowed:
            trial.end(
                Status.SKIPPED,
                f"predicted to need {needed / 2**30:.3g} GiB; {allowed / 2**30:.3g} GiB may be used",
                Cause.PREDICTED_MEMORY,
            )

    def _device_bytes(self, device: str) -> int:
        if device == "cpu":
            return self._max_memory
        return self._gpu_bytes

    def _check(self, trial: Trial, slot: Slot) -> bool:
        """Check a trial in a worker, and study it where that was not done yet; return whether it goes on."""
        name, timer, timeout_s = trial.job.implementation, self._timer, self._settings.timeout_s
        request: Request[CheckResult]
        if self._settings.once:
            request = CheckOnce(name)
        elif trial.check_result is None:
            request = FullCheck(name, timer, timeout_s)
        else:
            request = Check(name, timer, timeout_s)
        check_result = self._attempt(trial, slot, request)
        if check_result is None:
            return False
        if trial.check_result is None:
            trial.check_result, trial.errors, trial.memory = (
                check_result,
                check_result.errors,
                check_result.memory,
            )
            if trial.memory is None and not self._settings.once:
                self._measure_memory_apart(trial)
        slot.check_result.add(name)
        return trial.live

    def _measure_memory_apart(self, trial: Trial) -> None:
        """Weigh a trial in a process of its own, whose resident set holds nothing else."""
        spent_s, trial.spent_s = trial.spent_s, 0.0
        slot = self._new_slot()
        try:
            memory_result = self._attempt(trial, slot, MeasureMemory(trial.job.implementation))
        finally:
            slot.end()
        trial.spent_s = spent_s
        if memory_result is not None:
            trial.memory = memory_result.memory

    def _take_turns(self, trials: Sequence[Trial], slot: Slot) -> None:
        """Give every live trial its rounds of turns in a process, and further ones to those not settled."""
        for trial in trials:
            trial.processes.append(Turn())
        for number in range(self._most_rounds):
            live = [trial for trial in trials if trial.live and self._wants_round(trial, number)]
            if not live:
                return
            self._measure_round(live, slot)

    def _wants_round(self, trial: Trial, number: int) -> bool:
        if number == 0:
            return True
        if trial.call_s > SLOW_CALL_S:
            return False
        return number < self._rounds or not trial.processes[-1].settled(self._settings.precision)

    def _measure_round(self, trials: Sequence[Trial], slot: Slot) -> None:
        """Give every trial a turn, in random order, so that drift meets all alike.

        A round that something disturbed is measured again whole, at most three at a case; the last is kept.
        """
        while True:
            order = list(trials)
            self._order.shuffle(order)
            turns = [(trial, turn) for trial in order if (turn := self._turn_of(trial, slot)) is not None]
            if not self._again_left or not self._is_disturbed(turns):
                break
            self._again_left -= 1
            for trial, _ in turns:
                trial.rounds_again += 1
                trial.spent_s = 0.0
        for trial, turn in turns:
            trial.processes[-1] = trial.processes[-1].then(turn)

    def _is_disturbed(self, turns: Sequence[tuple[Trial, Turn]]) -> bool:
        if any(trial.call_s > SLOW_CALL_S for trial, _ in turns):
            return False
        readings = [reading for _, turn in turns for reading in turn.readings]
        return (
            any(turn.is_contended for _, turn in turns)
            or disturbance(readings, self._cores) is not None
            or bool(throttle_reasons(readings))
        )

    @property
    def _rounds(self) -> int:
        return ROUNDS if len(self._slots) == 1 else ROUNDS_A_PROCESS

    @property
    def _most_rounds(self) -> int:
        return math.ceil(self._rounds * self._settings.max_time_s / self._settings.min_time_s)

    def _turn_of(self, trial: Trial, slot: Slot) -> Turn | None:
        """Return what a turn of a trial gave, or None if the trial has ended."""
        if not trial.live:
            return None
        self._observer(trial.job, "time")
        name = trial.job.implementation
        if name not in slot.check_result:  # the worker was lost over another
            trial.spent_s = 0.0
            if not self._check(trial, slot):
                return None
        turns = self._rounds * len(self._slots)
        duration_s, most = self._settings.min_time_s / turns, max(1, self._settings.max_samples // turns)
        readings: list[Reading] = []

        def watch() -> None:
            if self._monitor.age_s > READ_EVERY_S:
                readings.append(self._monitor.read())

        self._monitor.read()
        timed = self._attempt(trial, slot, TakeTurn(name, self._timer, duration_s, most), watch)
        if timed is None or self._attempt(trial, slot, CheckTurn(name)) is None:
            return None
        readings.append(self._monitor.read())
        calibration = self._attempt(trial, slot, TimeCalibration(self._timer, self._plan.device))
        return None if calibration is None else Turn(timed.samples, calibration.samples, tuple(readings))

    @property
    def _timer(self) -> str:
        """The timer of the plan, or the device's default."""
        return timer_name(self._settings.timer, self._plan.device)

    def _attempt(self, trial: Trial, slot: Slot, request: Request[A], watch: Watch | None = None) -> A | None:
        """Return the worker's answer; None if it could not be done, and the trial has ended by that."""
        if not self._prepared(trial, slot):
            return None
        start = time.monotonic()
        left = self._settings.timeout_s - trial.spent_s
        if left <= 0:
            self._note_timeout(trial)
            return None
        try:
            return slot.ask(request, left, watch)
        except RequestError as failed:
            trial.errors = failed.errors or trial.errors
            if failed.status is Status.TIMEOUT:
                self._note_timeout(trial)
            else:
                trial.end(failed.status, failed.reason, failed.cause)
            return None
        finally:
            trial.spent_s += time.monotonic() - start

    def _prepared(self, trial: Trial, slot: Slot) -> bool:
        """Prepare a trial's case in a worker; the reference runs once per case, and its failure is kept."""
        operator = trial.job.operator
        known = self._expected_values.get(operator)
        if not isinstance(known, str):
            try:
                said = slot.open(trial.job, known)
                if said is not None:
                    known = self._expected_values[operator] = said
            except PrepareFailed as failed:
                known = self._expected_values[operator] = str(failed)
        if isinstance(known, str):
            trial.end(Status.ERROR, f"cannot be checked: the reference of {operator} failed: {known}")
            return False
        trial.approximation = known.approximation if known is not None else {}
        return True

    def _note_timeout(self, trial: Trial) -> None:
        trial.end(Status.TIMEOUT, f"not done within {self._settings.timeout_s:.4g} s (--timeout)")
        self._timed_out.append(trial.job)


def _unobserved(job: Job, doing: str) -> None:
    del job, doing


def _no_smaller(job: Job, other: Job) -> bool:
    """Return whether a job is the same as another but for a T that is at least as large."""
    return (
        job.implementation == other.implementation
        and job.case.T >= other.case.T
        and replace(job.case, T=other.case.T) == other.case
    )
