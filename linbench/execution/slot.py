"""Slot: a place for one worker, which is started on the first request, and again after it is lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from linbench.core.errors import EnvironmentRefused
from linbench.core.measurement import Status
from linbench.execution.client import RequestError, RequestFailure, Watch, WorkerClient, WorkerLost
from linbench.execution.messages import Answer, ExpectedValues, Hello, PrepareCase, ReleaseCases, Request
from linbench.execution.schedule import Job

PREPARE_TIMEOUT_S = 900.0
A = TypeVar("A", bound=Answer)


class PrepareFailed(Exception):
    """A case could not be prepared; `status` and `reason` are those of its rows."""

    def __init__(self, job: Job, failure: RequestError) -> None:
        self.status, self.reason = failure.status, failure.reason
        if failure.status is not Status.UNSUPPORTED:
            self.status = Status.ERROR
            self.reason = f"cannot be checked: the reference of {job.operator} failed: {failure.reason}"
        super().__init__(self.reason)


class Slot:
    """One worker, with the operators and implementations that it has prepared and checked at a case."""

    def __init__(self, start: Callable[[], WorkerClient], device: str) -> None:
        """Make a slot without a worker.

        Args:
            start: Function that starts a worker.
            device: cpu or cuda.
        """
        self._start = start
        self._device = device
        self._worker: WorkerClient | None = None
        self._prepared: set[str] = set()
        self.checked_implementations: set[str] = set()

    def prepare(self, job: Job, expected_values: ExpectedValues | None) -> ExpectedValues | None:
        """Have the worker prepare a job's case, once; return the expected values if it computed them.

        Args:
            job: The job, with its operator and case.
            expected_values: The expected values from another worker; None to compute them in this worker.

        Raises:
            PrepareFailed: The preparation failed; if the worker was lost, the slot is empty.
        """
        if job.operator in self._prepared:
            return None
        try:
            answer = self.ask(PrepareCase(job.operator, job.case, expected_values), PREPARE_TIMEOUT_S)
        except RequestError as error:
            raise PrepareFailed(job, error) from None
        self._prepared.add(job.operator)
        return answer.expected_values

    def ask(self, request: Request[A], timeout_s: float, watch: Watch | None = None) -> A:
        """Return the worker's answer; end a worker that must be replaced.

        Args:
            request: The request.
            timeout_s: Longest time to wait for the answer, seconds.
            watch: Called every 50 ms while waiting.

        Raises:
            RequestFailure: The request failed.
            WorkerLost: The worker is lost; the slot is empty.
            EnvironmentRefused: No worker can be started, or torch cannot use this device.
        """
        worker = self._ensure_worker()
        try:
            return worker.ask(request, timeout_s, watch)
        except WorkerLost:
            self._forget()
            raise
        except RequestFailure as failure:
            if failure.must_end:
                self.end()
            raise

    @property
    def about(self) -> Hello:
        """The description of the worker, which is started if there is none.

        Raises:
            EnvironmentRefused: No worker can be started, or torch cannot use this device.
        """
        return self._ensure_worker().about

    def _ensure_worker(self) -> WorkerClient:
        if self._worker is None:
            self._worker = self._start()
            if self._device == "cuda" and not self._worker.about.cuda_available:
                self.end()
                raise EnvironmentRefused(
                    "--device cuda: there is a GPU, but torch cannot use it; see `linbench doctor`"
                )
        return self._worker

    def close(self) -> None:
        """Have the worker release the current case."""
        self._prepared.clear()
        self.checked_implementations.clear()
        if self._worker is not None:
            with suppress(RequestError):
                self.ask(ReleaseCases(), PREPARE_TIMEOUT_S)

    def end(self) -> None:
        """End the worker, if there is one."""
        if self._worker is not None:
            self._worker.end()
        self._forget()

    def _forget(self) -> None:
        self._worker = None
        self._prepared.clear()
        self.checked_implementations.clear()
