"""The worker: a process that checks implementations, measures their memory and times them for a run.

It is started with the path of a socket and answers one request at a time. Its standard output and error
belong to the implementations and are never read as an answer.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import torch

from linbench.core.measurement import Status
from linbench.core.registry import Registry
from linbench.execution.failure import Stop, device_is_lost, failure
from linbench.execution.messages import (
    Answer,
    Check,
    CheckOnce,
    CheckResult,
    CheckSupport,
    CheckTurn,
    Done,
    ExpectedResult,
    Failure,
    FullCheck,
    MeasureMemory,
    MemoryResult,
    PrepareCase,
    ReleaseCases,
    TakeTurn,
    TimeCalibration,
    TimingResult,
)
from linbench.execution.prepared import PreparedCase, Verification, synchronize
from linbench.execution.service import freeze_live_objects, serve, start
from linbench.measure.calibration import CalibrationOp
from linbench.measure.call import Call, InputsInLayout
from linbench.measure.heap import trim
from linbench.measure.hygiene import aliased_input, copy_result, leak, restore_settings, settings
from linbench.measure.kernels import record_launches
from linbench.measure.memory import LONG_CALL_S, measure_memory, measure_resident_memory
from linbench.measure.sampling import take_turn, warm_up
from linbench.measure.timers import CannotCapture, Timer, timer_for
from linbench.measure.tolerance import NoTolerance

MAX_WARM_UP_S = 1.0
LOADING_TOKENS = 64


class Worker:
    """Answers the requests of a run and of a comparison."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._prepared: dict[str, PreparedCase] = {}
        self._calls: dict[str, Call] = {}
        self._call_s: dict[str, float] = {}
        self._last_results: dict[str, object] = {}
        self._timers: dict[str, Timer] = {}
        self._calibration_ops: dict[str, CalibrationOp] = {}

    def answer(self, request: object) -> Answer:
        """Return the answer to one request; a failure is an answer with its status and reason.

        Global settings of torch and of Python are restored after each request; an implementation that changes
        them is wrong.
        """
        before = settings()
        try:
            answer = self._handle(request)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an implementation may raise anything, SystemExit included
            must_end = isinstance(error, CannotCapture) or device_is_lost()
            answer = replace(failure(error), must_end=must_end)
            self._restore(getattr(request, "implementation", None))
        changed = restore_settings(before)
        return (
            mark_wrong(answer, f"leaves the process's {' and '.join(changed)} changed") if changed else answer
        )

    def _handle(self, request: object) -> Answer:
        match request:
            case CheckSupport():
                return self.check_support(request)
            case PrepareCase():
                return self.prepare_case(request)
            case CheckOnce():
                return self.check_once(request)
            case Check():
                return self.check(request)
            case FullCheck():
                return self.full_check(request)
            case MeasureMemory():
                return self.measure_memory(request)
            case TakeTurn():
                return self.take_turn(request)
            case CheckTurn():
                return self.check_turn(request)
            case TimeCalibration():
                return self.time_calibration(request)
            case ReleaseCases():
                return self.release_cases()
        raise TypeError(f"{type(request).__name__} is not a request of a run")

    def check_support(self, request: CheckSupport) -> Done:
        """Check whether an implementation supports a case, before inputs are made for it."""
        implementation = self._registry.implementation(request.implementation)
        _require_support(
            implementation.unsupported_reason(self._registry.operator(implementation.operator), request.case)
        )
        return Done()

    def prepare_case(self, request: PrepareCase) -> ExpectedResult:
        """Make the inputs of a case, and compute its expected values unless the request has them."""
        operator = self._registry.operator(request.operator)
        try:
            prepared = PreparedCase(operator, request.case, request.expected_values)
        except NoTolerance as error:
            raise Stop(Status.UNSUPPORTED, str(error)) from None
        self._prepared[operator.name] = prepared
        return ExpectedResult(
            prepared.expected_values(self._registry) if request.expected_values is None else None
        )

    def check_once(self, request: CheckOnce) -> CheckResult:
        """Call once and check the result."""
        call = self._call(request.implementation)
        _, check_result = self._first_call(call)
        return check_result

    def check(self, request: Check) -> CheckResult:
        """Check the first call in this process, and warm up."""
        call = self._call(request.implementation)
        _, check_result = self._first_call(call)
        return self._warm_up(call, check_result, request.timer, request.timeout_s)

    def full_check(self, request: FullCheck) -> CheckResult:
        """Check the first call, repeat it, call with other inputs, warm up and measure the memory."""
        call = self._call(request.implementation)
        returned, check_result = self._first_call(call)
        check_result = self._repeat(call, check_result, returned)
        del returned
        self._check_other_inputs(call)
        check_result = self._warm_up(call, check_result, request.timer, request.timeout_s)
        return self._measure_warm_memory(call, check_result)

    def measure_memory(self, request: MeasureMemory) -> MemoryResult:
        """Measure the memory of a call by this fresh process's RSS; a short call loads libraries first."""
        implementation = self._registry.implementation(request.implementation)
        prepared = self._prepared[implementation.operator]
        short = replace(prepared.case, B=1, T=min(prepared.case.T, LOADING_TOKENS))
        short_call = Call(prepared.operator, implementation, short, InputsInLayout(prepared.operator, short))
        short_call.prepare()
        short_call()
        del short_call
        return MemoryResult(
            measure_resident_memory(
                Call(prepared.operator, implementation, prepared.case, prepared.in_layout)
            )
        )

    def take_turn(self, request: TakeTurn) -> TimingResult:
        """Time a turn of calls; the result of the last one is stored for `check_turn`."""
        name = request.implementation
        call = self._calls[name]
        timer = self._timer(request.timer, call.case.device)
        samples, self._last_results[name] = take_turn(
            call, timer, request.duration_s, request.max_samples, self._call_s[name]
        )
        return TimingResult(samples)

    def check_turn(self, request: CheckTurn) -> Done:
        """Check the result of the last timed call of an implementation."""
        call = self._calls[request.implementation]
        result = self._last_results[request.implementation]
        verification = self._prepared[call.operator.name].verify(call, result)
        _require_correct(verification, "correct at first, but wrong when timed: ")
        return Done()

    def time_calibration(self, request: TimeCalibration) -> TimingResult:
        """Time the calibration op for a moment, on the device and with the timer of a turn."""
        if request.device not in self._calibration_ops:
            self._calibration_ops[request.device] = CalibrationOp(request.device)
        return TimingResult(
            self._calibration_ops[request.device].take(self._timer(request.timer, request.device))
        )

    def release_cases(self) -> Done:
        """Release every prepared case."""
        self._calls.clear()
        self._last_results.clear()
        self._call_s.clear()
        self._prepared.clear()
        freeze_live_objects()
        trim()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        return Done()

    def _call(self, name: str) -> Call:
        """Return a call of an implementation on its operator's prepared case, if it supports the case."""
        implementation = self._registry.implementation(name)
        prepared = self._prepared[implementation.operator]
        _require_support(implementation.unsupported_reason(prepared.operator, prepared.case))
        return Call(prepared.operator, implementation, prepared.case, prepared.in_layout)

    def _first_call(self, call: Call) -> tuple[object, CheckResult]:
        """Call for the first time in this process; return a copy of the result, and the check result."""
        prepared = self._prepared[call.operator.name]
        prepared.poison()
        call.prepare()
        start = time.perf_counter()
        returned = call()
        result = copy_result(returned)  # before any synchronization
        synchronize(call.case.device)
        first_call_s = time.perf_counter() - start
        view_of = aliased_input(returned, call.named_inputs)
        del returned
        verification = prepared.verify_by_position(call, result)
        if view_of is not None:
            reasons = (verification.reason, f"returns a view of its input {view_of}")
            raise Stop(Status.WRONG, "; ".join(filter(None, reasons)), verification.errors)
        _require_correct(prepared.explain(call, verification))
        try:
            work = call.implementation.work(call.operator, call.case)
        except Exception as error:  # the cost or flops of a plugin may raise anything
            reason = f"its cost or flops failed: {type(error).__name__}: {error}"
            raise Stop(Status.ERROR, reason) from None
        return result, CheckResult(verification.errors, first_call_s, work)

    def _repeat(self, call: Call, check_result: CheckResult, first_result: object) -> CheckResult:
        """Call again on the same inputs, to test determinism and to list the kernels."""
        call.prepare()
        with record_launches(call.implementation) as kernels:
            second_result = copy_result(call())
        synchronize(call.case.device)
        is_identical = self._prepared[call.operator.name].is_identical(call, first_result, second_result)
        return replace(check_result, deterministic=is_identical, kernels=tuple(kernels))

    def _check_other_inputs(self, call: Call) -> None:
        """Check a call with other inputs at the same addresses."""
        verification = self._prepared[call.operator.name].verify_other_inputs(call)
        _require_correct(verification, "correct at first, but wrong for other inputs: ")

    def _warm_up(
        self, call: Call, check_result: CheckResult, timer_name: str, timeout_s: float
    ) -> CheckResult:
        """Call until the time of a call is steady, so that turns can be timed."""
        timer = self._timer(timer_name, call.case.device)
        max_s = MAX_WARM_UP_S if 5 * check_result.first_call_s < timeout_s else 0.0
        call_s = warm_up(call, timer, max_s)
        name = call.implementation.name
        self._calls[name], self._call_s[name] = call, call_s
        return replace(check_result, timer=timer.name, call_s=call_s)

    def _measure_warm_memory(self, call: Call, check_result: CheckResult) -> CheckResult:
        """Measure the memory of a warm call, unless it is too long for the allocator's record."""
        if call.case.device == "cpu" and (check_result.call_s or 0.0) > LONG_CALL_S:
            return check_result
        memory, retained_bytes = measure_memory(call)
        leaked_bytes = leak(retained_bytes, lambda: measure_memory(call)[1])
        if leaked_bytes:
            reason = f"keeps {leaked_bytes:,} bytes more alive after each call"
            raise Stop(Status.WRONG, reason, check_result.errors)
        return replace(check_result, memory=memory)

    def _restore(self, name: str | None) -> None:
        """Restore the inputs that an implementation changed before it failed."""
        if name is None:
            return
        with suppress(Exception):  # no inputs are prepared, or the device and the worker are lost
            implementation = self._registry.implementation(name)
            in_layout = self._prepared[implementation.operator].in_layout
            if in_layout.changed(implementation) is not None:
                in_layout.restore(implementation)

    def _timer(self, name: str, device: str) -> Timer:
        if name not in self._timers:
            self._timers[name] = timer_for(name, device)
        return self._timers[name]


def _require_support(unsupported_reason: str | None) -> None:
    """Raise if there is a reason why a case is unsupported."""
    if unsupported_reason is not None:
        raise Stop(Status.UNSUPPORTED, unsupported_reason)


def _require_correct(verification: Verification, prefix: str = "") -> None:
    """Raise if a result is wrong."""
    if verification.reason is not None:
        raise Stop(Status.WRONG, f"{prefix}{verification.reason}", verification.errors)


def mark_wrong(answer: Answer, reason: str) -> Failure:
    """Return the answer as a failure for a further reason; a correct result becomes wrong, without times."""
    if isinstance(answer, Failure):
        return replace(answer, reason=f"{answer.reason}; {reason}")
    return Failure(Status.WRONG, reason, errors=answer.errors if isinstance(answer, CheckResult) else {})


def main(arguments: Sequence[str]) -> None:
    """Answer the requests of a run."""
    pipe, registry = start(arguments)
    serve(pipe, registry, Worker(registry).answer)


if __name__ == "__main__":
    main(sys.argv[1:])
