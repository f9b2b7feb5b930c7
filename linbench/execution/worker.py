"""The worker: one process that checks, weighs and times implementations for a run.

It is started with two file descriptors and answers one message at a time. Its standard output and error
belong to whatever it runs and are never read as an answer.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import torch

from linbench.core.case import Case
from linbench.core.measurement import Memory, Status
from linbench.core.operator import Expected, Operator
from linbench.core.registry import Registry, registry
from linbench.execution.pipe import Pipe, PipeClosed
from linbench.measure.accuracy import complaint, errors, packed, unpacked
from linbench.measure.budget import budgets
from linbench.measure.call import Call, LaidInputs, WrongResult
from linbench.measure.hygiene import copied, leak, put_back, settings, shared
from linbench.measure.memory import weigh
from linbench.measure.sampling import take_turn, warm_up
from linbench.measure.timers import CannotCapture, Timer, timer_for

WARM_CAP_S = 1.0
COMPILE_ERRORS = {"CompilationError", "CompileTimeAssertionFailure", "NVRTCError", "PTXASError"}
PR_SET_PDEATHSIG = 1
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "std::bad_alloc")

Answer = dict[str, Any]


class Opened:
    """A case of one operator: its inputs, what the oracle expects, whole or a sample of it, and budgets."""

    def __init__(self, operator: Operator, case: Case, oracle: Mapping[str, Any] | None) -> None:
        self.operator = operator
        self.case = case
        self.laid = LaidInputs(operator, case)
        self.expected: dict[str, Expected]
        self.budgets: dict[str, float]
        if oracle is None:
            self.expected = operator.expected(case, self.laid.canonical)
            self.budgets = budgets(operator, case)
        else:
            sample = oracle["sample"].items()
            self.expected = {name: unpacked(part, case.device) for name, part in sample}
            self.budgets = oracle["budgets"]

    @property
    def oracle(self) -> Answer:
        """What a worker needs to know of the oracle that does not ask it itself."""
        return {
            "sample": {name: packed(due) for name, due in self.expected.items()},
            "budgets": self.budgets,
        }


class Worker:
    """Answers the messages of a run: open, check, turn and close."""

    def __init__(self, found: Registry) -> None:
        self._registry = found
        self._opened: dict[str, Opened] = {}
        self._calls: dict[str, Call] = {}
        self._call_s: dict[str, float] = {}
        self._timers: dict[str, Timer] = {}

    def answer(self, message: Mapping[str, Any]) -> Answer:
        """Return the answer to one message; a failure is an answer with its status and reason.

        Torch's global settings are put back after each; whoever changed them is wrong.
        """
        deed = {"open": self.open, "check": self.check, "turn": self.turn, "close": self.close}[message["do"]]
        before = settings()
        try:
            answer = deed(message)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an implementation may raise anything, SystemExit included
            answer = failure(error) | {"recycle": isinstance(error, CannotCapture) or device_is_lost()}
            self._restore(message)
        changed = put_back(before)
        return blamed(answer, f"leaves torch's {' and '.join(changed)} changed") if changed else answer

    def open(self, message: Mapping[str, Any]) -> Answer:
        """Make the inputs of a case, and ask the oracle unless what it said is given."""
        operator = self._registry.operator(message["operator"])
        case, oracle = Case.from_json(message["case"]), message["oracle"]
        opened = self._opened[operator.name] = Opened(operator, case, oracle)
        return {"status": Status.OK, "oracle": opened.oracle if oracle is None else None}

    def check(self, message: Mapping[str, Any]) -> Answer:
        """Run an implementation at an opened case for the first time here: check, warm up, maybe weigh."""
        implementation = self._registry.implementation(message["implementation"])
        opened = self._opened[implementation.operator]
        reason = implementation.why_not(opened.operator, opened.case)
        if reason is not None:
            return {"status": Status.UNSUPPORTED, "reason": reason}
        call = Call(opened.operator, implementation, opened.case, opened.laid)
        poison(opened)
        call.prepare()
        start = time.perf_counter()
        returned = call()
        kept = copied(returned)  # before anything is waited for
        synchronize(opened.case.device)
        first_call_s = time.perf_counter() - start
        view_of = shared(returned, call.given)
        del returned
        answer = self._judge(opened, call, kept) | {"first_call_s": first_call_s}
        del kept
        if view_of is not None:
            return blamed(answer, f"returns a view of its input {view_of}")
        if answer["status"] != Status.OK or message["once"]:
            return answer
        if message["weigh"]:
            again = self._judge_elsewhere(opened, call)
            if again["status"] != Status.OK:
                return again | {"reason": f"right at first, but not for other inputs: {again['reason']}"}
        self._calls[implementation.name] = call
        timer = self._timer(message["timer"], opened.case.device)
        cap_s = WARM_CAP_S if 5 * first_call_s < message["timeout_s"] else 0.0
        call_s = warm_up(call, timer, cap_s)
        self._call_s[implementation.name] = call_s
        answer |= {"call_s": call_s, "timer": timer.name}
        if not message["weigh"]:
            return answer
        memory, kept_bytes = self._weigh(opened, call, call_s)
        kept_bytes = leak(kept_bytes, lambda: self._weigh(opened, call, call_s)[1])
        if kept_bytes:
            return blamed(answer, f"keeps {kept_bytes:,} bytes more alive after each call")
        return answer | {"memory": asdict(memory)}

    def turn(self, message: Mapping[str, Any]) -> Answer:
        """Take a turn of timed calls and check what the last of them returned."""
        call = self._calls[message["implementation"]]
        opened = self._opened[call.operator.name]
        timer = self._timer(message["timer"], opened.case.device)
        call_s = self._call_s[message["implementation"]]
        turn = take_turn(call, timer, message["budget_s"], message["max_samples"], call_s)
        answer = self._judge(opened, call, turn.last)
        if answer["status"] != Status.OK:
            reason = f"right at first, but not when timed: {answer['reason']}"
            return {"status": answer["status"], "reason": reason, "errors": answer["errors"]}
        return {
            "status": Status.OK,
            "samples_s": turn.samples_s,
            "contended": turn.contended,
            "cpu_s": turn.cpu_s,
            "switches": turn.switches,
            "kernels_s": turn.kernels_s,
        }

    def close(self, message: Mapping[str, Any]) -> Answer:
        """Let go of every opened case."""
        del message
        self._calls.clear()
        self._call_s.clear()
        self._opened.clear()
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        return {"status": Status.OK}

    def _restore(self, message: Mapping[str, Any]) -> None:
        """Make the inputs again that an implementation changed before it failed."""
        if "implementation" not in message:
            return
        with suppress(Exception):  # nothing was laid out, or the device is lost and the worker with it
            implementation = self._registry.implementation(message["implementation"])
            laid = self._opened[implementation.operator].laid
            if laid.changed(implementation) is not None:
                laid.restore(implementation)

    def _judge_elsewhere(self, opened: Opened, call: Call) -> Answer:
        """Call with other inputs at the same addresses, so that a result remembered by address is caught."""
        axis = call.mirror_axis
        call.prepare()
        if axis is not None:
            with call.mirrored(axis):
                kept = copied(call())
                synchronize(opened.case.device)
            return self._judge(opened, call, kept, mirror_axis=axis)
        with call.reseeded() as (case, inputs):
            call.prepare()
            kept = copied(call())
            synchronize(case.device)
            expected = opened.operator.expected(case, inputs)
        return self._judge(opened, call, kept, expected)

    def _weigh(self, opened: Opened, call: Call, call_s: float) -> tuple[Memory, int]:
        call.prepare()
        return weigh(call, opened.case.device, opened.operator.input_bytes(opened.case), call_s)

    def _judge(
        self,
        opened: Opened,
        call: Call,
        returned: Any,
        expected: Mapping[str, Expected] | None = None,
        mirror_axis: str | None = None,
    ) -> Answer:
        changed = opened.laid.changed(call.implementation)
        if changed is not None:
            opened.laid.restore(call.implementation)
            return {"status": Status.WRONG, "reason": f"changes its input {changed}", "errors": {}}
        try:
            results = call.results(returned, mirror_axis)
        except WrongResult as error:
            return {"status": Status.WRONG, "reason": str(error), "errors": {}}
        found = errors(results, expected or opened.expected, opened.budgets)
        reason = complaint(found)
        return {
            "status": Status.WRONG if reason else Status.OK,
            "reason": reason,
            "errors": {name: asdict(error) for name, error in found.items()},
        }

    def _timer(self, name: str, device: str) -> Timer:
        if name not in self._timers:
            self._timers[name] = timer_for(name, device)
        return self._timers[name]


def poison(opened: Opened) -> None:
    """Leave NaN in memory that is about to be free, so that an output never written is caught."""
    for spec in (opened.operator.output, *opened.operator.inputs):
        shape = spec.shape(opened.case, opened.operator.call_tokens(opened.case))
        dtype = getattr(torch, opened.case.dtype)
        torch.full(shape, float("nan"), dtype=dtype, device=opened.case.device)


def synchronize(device: str) -> None:
    """Wait for everything that was started on a device."""
    if device == "cuda":
        torch.cuda.synchronize()


def blamed(answer: Answer, reason: str) -> Answer:
    """Return an answer with a further reason; one that was ok is wrong for it, and has no times."""
    if answer["status"] == Status.OK:
        return {"status": Status.WRONG, "reason": reason, "errors": answer.get("errors", {})}
    return answer | {"reason": f"{answer['reason']}; {reason}"}


def failure(error: BaseException) -> Answer:
    """Return the answer for an exception: its status and one line."""
    line = " ".join(str(error).split())[:500]
    kind = type(error).__name__
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or any(
        part in line.lower() for part in NO_MEMORY
    ):
        return {"status": Status.OOM, "reason": line or "out of memory"}
    if isinstance(error, NotImplementedError):
        return {"status": Status.UNSUPPORTED, "reason": line or "not implemented"}
    if kind in COMPILE_ERRORS:
        return {"status": Status.COMPILE_ERROR, "reason": f"{kind}: {line}"}
    return {"status": Status.ERROR, "reason": f"{kind}: {line}" if line else kind}


def device_is_lost() -> bool:
    """Return whether a CUDA context was made here and answers no more, so that the process is of no use."""
    if not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
    except Exception:  # whatever a broken context raises
        return True
    return False


def hello(found: Registry) -> Answer:
    """Return what the run records of this worker."""
    return {
        "status": Status.OK,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "cuda_available": torch.cuda.is_available(),
        "broken": [plugin.name for plugin in found.broken],
    }


def end_with_parent() -> None:
    """Have the kernel end this process when the run dies, busy or not."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Answer messages until the run closes the pipe."""
    read_fd, write_fd, *plugins = arguments
    end_with_parent()
    faulthandler.enable()
    pipe = Pipe(int(read_fd), int(write_fd))
    for descriptor in (int(read_fd), int(write_fd)):
        os.set_inheritable(descriptor, False)
    registry.load(plugins)
    worker = Worker(registry)
    try:
        pipe.send(hello(registry))
        while True:
            pipe.send(worker.answer(pipe.receive()))
    except PipeClosed:
        return


if __name__ == "__main__":
    main(sys.argv[1:])
