"""Runner: measures the groups of a schedule in several processes; every job becomes one row."""

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
ROUNDS_PER_PROCESS = 2
MAX_REPEATED_ROUNDS = 3
READING_INTERVAL_S = 0.5
SLOW_CALL_S = 2.0
MIN_PROCESSES = 3
GPU_SHARE = 0.95
TIME_LIMIT_REASON = "the time limit (--time-limit) was spent"

Observer = Callable[[Job, str], None]
A = TypeVar("A", bound=Answer)


class Runner:
    """Measures a schedule; use it as a context manager, which ends its workers."""

    def __init__(
        self,
        registry: Registry,
        schedule: Schedule,
        observer: Observer | None = None,
        timed_out: Sequence[Job] = (),
    ) -> None:
        """Prepare to measure; no worker is started yet.

        Args:
            registry: Registry of the operators and implementations.
            schedule: The jobs to measure.
            observer: Called with each job when work on it starts.
            timed_out: Jobs that timed out before; the same jobs with a longer T are skipped.
        """
        self._registry = registry
        self._schedule = schedule
        self._plan = plan = schedule.plan
        self._settings = plan.settings
        self._observer = observer or _ignore_progress
        self._max_memory = plan.settings.max_memory_bytes or safe_memory_bytes()
        processes = 1 if plan.settings.once else plan.settings.processes
        self._gpu_bytes = 0
        self._cores = len(os.sched_getaffinity(0))
        environment: dict[str, str] = {}
        if plan.device == "cuda":  # the GPU that this run has locked, whatever order CUDA enumerates
            gpu = visible_gpus()[0]
            self._gpu_bytes = int(GPU_SHARE * gpu.memory_bytes)
            environment["CUDA_VISIBLE_DEVICES"] = gpu.uuid
        self._monitor = Monitor(environment.get("CUDA_VISIBLE_DEVICES"))
        launch = Launch(plan.plugins, self._max_memory, variables=environment)
        self._new_slot = partial(Slot, partial(spawn, launch), plan.device)
        self._slots = [self._new_slot() for _ in range(processes)]
        self._expected_values: dict[str, ExpectedValues | PrepareFailed] = {}
        pending = {job.key for job in schedule.jobs}
        self._timed_out = [job for job in timed_out if job.key not in pending]
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
        """Measure every trial of a group in each process, one process after another."""
        self._expected_values.clear()
        self._repeats_left = MAX_REPEATED_ROUNDS
        for trial in trials:
            self._end_if_infeasible(trial)
        for number, slot in enumerate(self._slots):
            pending = [trial for trial in trials if trial.live and self._needs_process(trial, number)]
            for trial in pending:
                trial.spent_s = 0.0
                self._observer(trial.job, "check")
                self._check(trial, slot)
            if not self._settings.once:
                self._take_turns(pending, slot)
            if pending:
                slot.close()

    def _needs_process(self, trial: Trial, number: int) -> bool:
        """Return whether to measure a trial in a further process, by the samples of the earlier processes."""
        if number < MIN_PROCESSES:
            return True
        estimate = trial.time()
        is_steady = estimate is not None and estimate.half_width <= self._settings.precision
        return not is_steady and trial.call_s <= SLOW_CALL_S

    def _end_if_infeasible(self, trial: Trial) -> None:
        """End a trial that is unsupported, timed out at a smaller T, or needs too much memory."""
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
            if _is_at_least_as_long(job, smaller):
                reason = f"{smaller.implementation} already timed out at T = {smaller.case.T}: {smaller.case}"
                trial.end(Status.SKIPPED, reason, Cause.EARLIER_TIMEOUT)
                return
        try:
            needed = job_bytes(operator, implementation, job)
        except Exception as error:  # the extra_bytes of a plugin may raise anything
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
        """Check a trial in a worker, fully in its first process; return whether the trial continues."""
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
                self._measure_memory_in_new_process(trial)
        slot.checked_implementations.add(name)
        return trial.live

    def _measure_memory_in_new_process(self, trial: Trial) -> None:
        """Measure the memory of a trial in a separate process, whose resident set holds nothing else."""
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
        """Measure the rounds of every live trial in a process; unsettled trials get more rounds."""
        for trial in trials:
            trial.processes.append(Turn())
        for number in range(self._max_rounds):
            pending = [trial for trial in trials if trial.live and self._needs_round(trial, number)]
            if not pending:
                return
            self._measure_round(pending, slot)

    def _needs_round(self, trial: Trial, number: int) -> bool:
        if number == 0:
            return True
        if trial.call_s > SLOW_CALL_S:
            return False
        return number < self._rounds or not trial.processes[-1].is_settled(self._settings.precision)

    def _measure_round(self, trials: Sequence[Trial], slot: Slot) -> None:
        """Measure one turn of every trial, in random order, so that drift affects all of them equally.

        A disturbed round is measured again as a whole, at most three times per case; the last one counts.
        """
        while True:
            order = list(trials)
            self._order.shuffle(order)
            turns = [(trial, turn) for trial in order if (turn := self._take_turn(trial, slot)) is not None]
            if not self._repeats_left or not self._is_disturbed(turns):
                break
            self._repeats_left -= 1
            for trial, _ in turns:
                trial.rounds_again += 1
                trial.spent_s = 0.0
        for trial, turn in turns:
            trial.processes[-1] = trial.processes[-1].join(turn)

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
        return ROUNDS if len(self._slots) == 1 else ROUNDS_PER_PROCESS

    @property
    def _max_rounds(self) -> int:
        return math.ceil(self._rounds * self._settings.max_time_s / self._settings.min_time_s)

    def _take_turn(self, trial: Trial, slot: Slot) -> Turn | None:
        """Return a turn of a trial, or None if the trial has ended."""
        if not trial.live:
            return None
        self._observer(trial.job, "time")
        name = trial.job.implementation
        if name not in slot.checked_implementations:  # another trial has lost the worker
            trial.spent_s = 0.0
            if not self._check(trial, slot):
                return None
        turns = self._rounds * len(self._slots)
        duration_s = self._settings.min_time_s / turns
        max_samples = max(1, self._settings.max_samples // turns)
        readings: list[Reading] = []

        def watch() -> None:
            if self._monitor.age_s > READING_INTERVAL_S:
                readings.append(self._monitor.read())

        self._monitor.read()
        timing = self._attempt(trial, slot, TakeTurn(name, self._timer, duration_s, max_samples), watch)
        if timing is None or self._attempt(trial, slot, CheckTurn(name)) is None:
            return None
        readings.append(self._monitor.read())
        calibration = self._attempt(trial, slot, TimeCalibration(self._timer, self._plan.device))
        return None if calibration is None else Turn(timing.samples, calibration.samples, tuple(readings))

    @property
    def _timer(self) -> str:
        """The timer of the plan, or the default of its device."""
        return timer_name(self._settings.timer, self._plan.device)

    def _attempt(self, trial: Trial, slot: Slot, request: Request[A], watch: Watch | None = None) -> A | None:
        """Return the worker's answer; if the request fails, end the trial and return None."""
        if not self._prepare(trial, slot):
            return None
        start = time.monotonic()
        remaining_s = self._settings.timeout_s - trial.spent_s
        if remaining_s <= 0:
            self._note_timeout(trial)
            return None
        try:
            return slot.ask(request, remaining_s, watch)
        except RequestError as error:
            trial.errors = error.errors or trial.errors
            if error.status is Status.TIMEOUT:
                self._note_timeout(trial)
            else:
                trial.end(error.status, error.reason, error.cause)
            return None
        finally:
            trial.spent_s += time.monotonic() - start

    def _prepare(self, trial: Trial, slot: Slot) -> bool:
        """Prepare a trial's case in a worker; the reference runs once per case, and its failure is cached."""
        operator = trial.job.operator
        prepared = self._expected_values.get(operator)
        if not isinstance(prepared, PrepareFailed):
            try:
                computed = slot.prepare(trial.job, prepared)
                if computed is not None:
                    prepared = self._expected_values[operator] = computed
            except PrepareFailed as error:
                prepared = self._expected_values[operator] = error
        if isinstance(prepared, PrepareFailed):
            trial.end(prepared.status, prepared.reason)
            return False
        trial.approximation = prepared.approximation if prepared is not None else {}
        return True

    def _note_timeout(self, trial: Trial) -> None:
        trial.end(Status.TIMEOUT, f"not done within {self._settings.timeout_s:.4g} s (--timeout)")
        self._timed_out.append(trial.job)


def _ignore_progress(job: Job, activity: str) -> None:
    del job, activity


def _is_at_least_as_long(job: Job, reference: Job) -> bool:
    """Return whether a job equals a reference job except for a T that is at least as large."""
    return (
        job.implementation == reference.implementation
        and job.case.T >= reference.case.T
        and replace(job.case, T=reference.case.T) == reference.case
    )
