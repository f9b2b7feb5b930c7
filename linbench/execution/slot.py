"""Slot: a place for one worker, filled when it is first asked, and again after a worker is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from linbench.core.errors import EnvironmentRefused
from linbench.core.measurement import Status
from linbench.execution.process import WorkerLost, WorkerProcess
from linbench.execution.schedule import Job

OPEN_TIMEOUT_S = 900.0


class NotOpened(Exception):
    """The inputs of a case could not be made, or the oracle could not be asked; the reason is one line."""


class Slot:
    """One worker, and what it has opened and checked at the case at hand."""

    def __init__(self, start: Callable[[], WorkerProcess], device: str) -> None:
        """Make a place that is empty yet.

        Args:
            start: Starts a worker.
            device: cpu or cuda.
        """
        self._start = start
        self._device = device
        self._worker: WorkerProcess | None = None
        self._opened: set[str] = set()
        self.checked: set[str] = set()

    def open(self, job: Job, oracle: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Have the worker make the inputs of a job's case, once, and return what the oracle says if asked.

        Args:
            job: Names the operator and the case.
            oracle: What the oracle said in another worker; it is asked here if None.

        Raises:
            NotOpened: It cannot be done; a worker lost over it is forgotten.
        """
        if job.operator in self._opened:
            return None
        case = job.case.to_json()
        message = {"do": "open", "operator": job.operator, "case": case, "oracle": oracle}
        try:
            answer = self.ask(message, OPEN_TIMEOUT_S)
        except WorkerLost as lost:
            raise NotOpened(lost.reason) from None
        if answer["status"] is not Status.OK:
            raise NotOpened(answer["reason"])
        self._opened.add(job.operator)
        found: dict[str, Any] | None = answer["oracle"]
        return found

    def ask(
        self, message: Mapping[str, Any], timeout_s: float, watch: Callable[[], None] | None = None
    ) -> dict[str, Any]:
        """Return the worker's answer; a worker that must be replaced after it is ended.

        Args:
            message: What to do.
            timeout_s: Give up after this long.
            watch: Called every 50 ms meanwhile.

        Raises:
            WorkerLost: It is gone, and forgotten.
            EnvironmentRefused: None can be started, or not on this device.
        """
        worker = self._filled()
        try:
            answer = worker.ask(message, timeout_s, watch)
        except WorkerLost:
            self._forget()
            raise
        if answer.get("recycle"):
            self.end()
        return answer

    @property
    def about(self) -> dict[str, Any]:
        """What the worker said of itself when it was started, which may be now.

        Raises:
            EnvironmentRefused: None can be started, or not on this device.
        """
        return self._filled().about

    def _filled(self) -> WorkerProcess:
        if self._worker is None:
            self._worker = self._start()
            if self._device == "cuda" and not self._worker.about["cuda_available"]:
                self.end()
                raise EnvironmentRefused(
                    "--device cuda: there is a GPU, but torch cannot use it; see `linbench doctor`"
                )
        return self._worker

    def close(self) -> None:
        """Have the worker let go of the case at hand."""
        self._opened.clear()
        self.checked.clear()
        if self._worker is not None:
            with suppress(WorkerLost):
                self.ask({"do": "close"}, OPEN_TIMEOUT_S)

    def end(self) -> None:
        """End the worker, if there is one."""
        if self._worker is not None:
            self._worker.end()
        self._forget()

    def _forget(self) -> None:
        self._worker = None
        self._opened.clear()
        self.checked.clear()
