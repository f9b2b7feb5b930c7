"""The worker: one process that checks, weighs and times implementations for a run.

It is started with two file descriptors and answers one message at a time. Its standard output and error
belong to whatever it runs and are never read as an answer.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
import platform
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import torch

from linbench.core.case import Case
from linbench.core.implementation import Implementation
from linbench.core.measurement import Status
from linbench.core.registry import Registry, registry
from linbench.execution.failure import device_is_lost, failure
from linbench.execution.opened import Answer, Opened, blamed, synchronize
from linbench.execution.pipe import PROTOCOL, Pipe, PipeClosed
from linbench.measure.anchor import Anchor
from linbench.measure.call import Call, LaidInputs
from linbench.measure.heap import keep_freed, trim
from linbench.measure.hygiene import copied, leak, put_back, settings, shared
from linbench.measure.kernels import launched
from linbench.measure.memory import LONG_CALL_S, weigh, weigh_resident
from linbench.measure.sampling import take_turn, warm_up
from linbench.measure.timers import CannotCapture, Timer, timer_for

WARM_CAP_S = 1.0
LOADING_TOKENS = 64
PR_SET_PDEATHSIG = 1


class Worker:
    """Answers the messages of a run: ask, open, check, weigh, turn, judge, anchor and close."""

    def __init__(self, found: Registry) -> None:
        self._registry = found
        self._opened: dict[str, Opened] = {}
        self._calls: dict[str, Call] = {}
        self._call_s: dict[str, float] = {}
        self._last: dict[str, Any] = {}
        self._timers: dict[str, Timer] = {}
        self._anchors: dict[str, Anchor] = {}

    def answer(self, message: Mapping[str, Any]) -> Answer:
        """Return the answer to one message; a failure is an answer with its status and reason.

        Global settings of torch and of Python are put back after each; whoever changed them is wrong.
        """
        deeds = {
            "ask": self.ask,
            "open": self.open,
            "check": self.check,
            "weigh": self.weigh,
            "turn": self.turn,
            "judge": self.judge,
            "anchor": self.anchor,
            "close": self.close,
        }
        before = settings()
        try:
            answer = deeds[message["do"]](message)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an implementation may raise anything, SystemExit included
            answer = failure(error) | {"recycle": isinstance(error, CannotCapture) or device_is_lost()}
            self._restore(message)
        changed = put_back(before)
        return blamed(answer, f"leaves the process's {' and '.join(changed)} changed") if changed else answer

    def ask(self, message: Mapping[str, Any]) -> Answer:
        """Say whether an implementation takes a case, before anything is made for it."""
        implementation = self._registry.implementation(message["implementation"])
        operator = self._registry.operator(implementation.operator)
        reason = implementation.why_not(operator, Case.from_json(message["case"]))
        return {"status": Status.OK if reason is None else Status.UNSUPPORTED, "reason": reason}

    def open(self, message: Mapping[str, Any]) -> Answer:
        """Make the inputs of a case, and ask the oracle unless what it said is given."""
        operator = self._registry.operator(message["operator"])
        case, oracle = Case.from_json(message["case"]), message["oracle"]
        opened = self._opened[operator.name] = Opened(operator, case, oracle)
        said = opened.oracle(self._registry) if oracle is None else None
        return {"status": Status.OK, "oracle": said}

    def check(self, message: Mapping[str, Any]) -> Answer:
        """Run an implementation at an opened case for the first time here: check it, study it, warm it up."""
        opened, implementation = self._asked(message)
        reason = implementation.why_not(opened.operator, opened.case)
        if reason is not None:
            return {"status": Status.UNSUPPORTED, "reason": reason}
        call = Call(opened.operator, implementation, opened.case, opened.laid)
        opened.poison()
        call.prepare()
        start = time.perf_counter()
        returned = call()
        kept = copied(returned)  # before anything is waited for
        synchronize(opened.case.device)
        first_call_s = time.perf_counter() - start
        view_of = shared(returned, call.given)
        del returned
        answer = opened.judge_whole(call, kept) | {"first_call_s": first_call_s}
        if view_of is not None:
            return blamed(answer, f"returns a view of its input {view_of}")
        if answer["status"] != Status.OK:
            return answer
        try:
            answer |= {"work": asdict(implementation.work(opened.operator, opened.case))}
        except Exception as error:  # a stranger's cost or flops may raise anything
            reason = f"its cost or flops failed: {type(error).__name__}: {error}"
            return {"status": Status.ERROR, "reason": reason}
        if message["once"]:
            return answer
        if message["study"]:
            answer |= self._repeat(opened, call, kept)
            elsewhere = opened.judge_elsewhere(call)
            if elsewhere["status"] != Status.OK:
                reason = f"right at first, but not for other inputs: {elsewhere['reason']}"
                return elsewhere | {"reason": reason}
        del kept
        self._calls[implementation.name] = call
        timer = self._timer(message["timer"], opened.case.device)
        cap_s = WARM_CAP_S if 5 * first_call_s < message["timeout_s"] else 0.0
        call_s = self._call_s[implementation.name] = warm_up(call, timer, cap_s)
        answer |= {"call_s": call_s, "timer": timer.name}
        if not message["study"] or (opened.case.device == "cpu" and call_s > LONG_CALL_S):
            return answer
        memory, kept_bytes = weigh(call)
        kept_bytes = leak(kept_bytes, lambda: weigh(call)[1])
        if kept_bytes:
            return blamed(answer, f"keeps {kept_bytes:,} bytes more alive after each call")
        return answer | {"memory": asdict(memory)}

    def weigh(self, message: Mapping[str, Any]) -> Answer:
        """Weigh a call by the resident set of this fresh process; a short one loads libraries first."""
        opened, implementation = self._asked(message)
        short = replace(opened.case, B=1, T=min(opened.case.T, LOADING_TOKENS))
        loading = Call(opened.operator, implementation, short, LaidInputs(opened.operator, short))
        loading.prepare()
        loading()
        del loading
        call = Call(opened.operator, implementation, opened.case, opened.laid)
        return {"status": Status.OK, "memory": asdict(weigh_resident(call))}

    def turn(self, message: Mapping[str, Any]) -> Answer:
        """Take a turn of timed calls and check what the last of them returned, now or when asked to judge."""
        call = self._calls[message["implementation"]]
        opened = self._opened[call.operator.name]
        timer = self._timer(message["timer"], opened.case.device)
        call_s = self._call_s[message["implementation"]]
        turn = take_turn(call, timer, message["budget_s"], message["max_samples"], call_s)
        self._last[message["implementation"]] = turn.last
        if not message.get("later", False):
            answer = self.judge(message)
            if answer["status"] != Status.OK:
                return answer
        return {
            "status": Status.OK,
            "samples_s": turn.samples_s,
            "contended": turn.contended,
            "cpu_s": turn.cpu_s,
            "switches": turn.switches,
            "kernels_s": turn.kernels_s,
        }

    def judge(self, message: Mapping[str, Any]) -> Answer:
        """Check what the last timed call of an implementation returned."""
        call = self._calls[message["implementation"]]
        answer = self._opened[call.operator.name].judge(call, self._last[message["implementation"]])
        if answer["status"] != Status.OK:
            answer["reason"] = f"right at first, but not when timed: {answer['reason']}"
        return answer

    def anchor(self, message: Mapping[str, Any]) -> Answer:
        """Time the anchor for a moment, on the device and by the timer of a turn."""
        device = message["device"]
        if device not in self._anchors:
            self._anchors[device] = Anchor(device)
        return {
            "status": Status.OK,
            "anchor_s": self._anchors[device].take(self._timer(message["timer"], device)),
        }

    def close(self, message: Mapping[str, Any]) -> Answer:
        """Let go of every opened case."""
        del message
        self._calls.clear()
        self._last.clear()
        self._call_s.clear()
        self._opened.clear()
        keep_for_good()
        trim()
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

    def _asked(self, message: Mapping[str, Any]) -> tuple[Opened, Implementation]:
        implementation = self._registry.implementation(message["implementation"])
        return self._opened[implementation.operator], implementation

    def _repeat(self, opened: Opened, call: Call, kept: Any) -> Answer:
        """Call again on the same inputs: whether the same bits come, and what is launched."""
        call.prepare()
        with launched(call.implementation) as kernels:
            again = copied(call())
        synchronize(call.case.device)
        same = opened.same(call, kept, again)
        return {"deterministic": same, "kernels": [asdict(kernel) for kernel in kernels]}

    def _timer(self, name: str, device: str) -> Timer:
        if name not in self._timers:
            self._timers[name] = timer_for(name, device)
        return self._timers[name]


def keep_for_good() -> None:
    """Have the collector leave what is alive now alone: modules, mostly, which take it 80 ms to look through.

    It is asked before every turn of timed calls.
    """
    gc.collect()
    gc.freeze()


def hello(found: Registry) -> Answer:
    """Return what the run records of this worker."""
    return {
        "status": Status.OK,
        "protocol": PROTOCOL,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "cuda_available": torch.cuda.is_available(),
        "implementations": [implementation.name for implementation in found.implementations()],
        "broken": {plugin.name: plugin.reason for plugin in found.broken},
    }


def end_with_parent() -> None:
    """Have the kernel end this process when the one that started it dies, busy or not."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def serve(pipe: Pipe, found: Registry) -> None:
    """Answer messages until the run closes the pipe."""
    keep_freed()
    worker = Worker(found)
    with suppress(PipeClosed):
        pipe.send(hello(found))
        while True:
            pipe.send(worker.answer(pipe.receive()))


def main(arguments: list[str]) -> None:
    """Load plugins and answer messages."""
    read_fd, write_fd, *plugins = arguments
    end_with_parent()
    faulthandler.enable()
    for descriptor in (int(read_fd), int(write_fd)):
        os.set_inheritable(descriptor, False)
    registry.load(plugins)
    keep_for_good()
    serve(Pipe(int(read_fd), int(write_fd)), registry)


if __name__ == "__main__":
    main(sys.argv[1:])
