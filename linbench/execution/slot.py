"""Slot: a place for one worker, filled when it is first asked, and again after a worker is lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from linbench.core.errors import EnvironmentRefused
from linbench.execution.client import RequestError, RequestFailure, Watch, WorkerClient, WorkerLost
from linbench.execution.messages import Answer, ExpectedValues, Hello, PrepareCase, ReleaseCases, Request
from linbench.execution.schedule import Job

PREPARE_TIMEOUT_S = 900.0
A = TypeVar("A", bound=Answer)


class PrepareFailed(Exception):
    """The inputs of a case could not be made, or the reference could not be asked; the reason is one line."""


class Slot:
    """One worker, and what it has opened and checked at the case at hand."""

    def __init__(self, start: Callable[[], WorkerClient], device: str) -> None:
        """Make a place that is empty yet.

        Args:
            start: Starts a worker.
            device: cpu or cuda.
        """
        self._start = start
        self._device = device
        self._worker: WorkerClient | None = None
        self._prepared: set[str] = set()
        self.check_result: set[str] = set()

    def open(self, job: Job, expected_values: ExpectedValues | None) -> ExpectedValues | None:
        """Have the worker make the inputs of a job's case, once, and return what the reference says if asked.

        Args:
            job: Names the operator and the case.
            expected_values: What the reference said in another worker; it is asked here if None.

        Raises:
            PrepareFailed: It cannot be done; a worker lost over it is forgotten.
        """
        if job.operator in self._prepared:
            return None
        try:
            said = self.ask(PrepareCase(job.operator, job.case, expected_values), PREPARE_TIMEOUT_S)
        except RequestError as failed:
            raise PrepareFailed(failed.reason) from None
        self._prepared.add(job.operator)
        return said.expected_values

    def ask(self, request: Request[A], timeout_s: float, watch: Watch | None = None) -> A:
        """Return the worker's answer; a worker that is of no further use is ended.

        Args:
            request: What to do.
            timeout_s: Give up after this long.
            watch: Called every 50 ms meanwhile.

        Raises:
            RequestFailure: It could not be done.
            WorkerLost: The worker is gone, and forgotten.
            EnvironmentRefused: None can be started, or not on this device.
        """
        worker = self._filled()
        try:
            return worker.ask(request, timeout_s, watch)
        except WorkerLost:
            self._forget()
            raise
        except RequestFailure as failed:
            if failed.must_end:
                self.end()
            raise

    @property
    def about(self) -> Hello:
        """What the worker said of itself when it was started, which may be now.

        Raises:
            EnvironmentRefused: None can be started, or not on this device.
        """
        return self._filled().about

    def _filled(self) -> WorkerClient:
        if self._worker is None:
            self._worker = self._start()
            if self._device == "cuda" and not self._worker.about.cuda_available:
                self.end()
                raise EnvironmentRefused(
                    "--device cuda: there is a GPU, but torch cannot use it; see `linbench doctor`"
                )
        return self._worker

    def close(self) -> None:
        """Have the worker let go of the case at hand."""
        self._prepared.clear()
        self.check_result.clear()
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
        self.check_result.clear()
