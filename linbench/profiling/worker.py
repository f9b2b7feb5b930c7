"""The process that profiles an implementation at a case, or measures ceilings, as it is asked.

Its standard output and error belong to what it runs.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from linbench.core.codec import encode
from linbench.core.measurement import Status
from linbench.core.profile import Breakdown
from linbench.core.registry import Registry
from linbench.execution.failure import Stop, failure
from linbench.execution.messages import Answer, CeilingsResult, MeasureCeilings, ProfileCall, ProfileResult
from linbench.execution.service import serve, start
from linbench.measure.call import Call, InputsInLayout
from linbench.profiling.allocations import allocations
from linbench.profiling.artifact import SUFFIX
from linbench.profiling.foreign import range_foreign_calls
from linbench.profiling.peaks import measured
from linbench.profiling.plain import wait, warm
from linbench.profiling.ranges import in_ranges, ranges
from linbench.profiling.torch_profiler import profile_call


class ProfilingWorker:
    """Answers the requests of a profiling session."""

    def __init__(self, found: Registry) -> None:
        self._registry = found

    def answer(self, request: object) -> Answer:
        """Return the answer to one request; a failure is an answer with its status and reason."""
        try:
            match request:
                case ProfileCall():
                    return self.profile(request)
                case MeasureCeilings():
                    return CeilingsResult(tuple(measured(request.device)))
            raise TypeError(f"{type(request).__name__} is no request of a profiling session's")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an implementation may raise anything, SystemExit included
            return failure(error)

    def profile(self, request: ProfileCall) -> ProfileResult:
        """Return what a profiler saw, and write the files that belong to it."""
        implementation = self._registry.implementation(request.implementation)
        operator = self._registry.operator(implementation.operator)
        reason = implementation.unsupported_reason(operator, request.case)
        if reason is not None:
            raise Stop(Status.UNSUPPORTED, reason)
        call = Call(operator, implementation, request.case, InputsInLayout(operator, request.case))
        folder, tool = Path(request.folder), request.tool
        breakdown: Breakdown | None = None
        if tool in ("torch", "all"):
            breakdown = profile_call(call, folder / f"trace{SUFFIX}")
        if tool == "proton":
            from linbench.profiling.proton import record_kernels

            breakdown = record_kernels(call, folder / f"proton{SUFFIX}")
        if tool == "ncu":
            _once(call)
        if tool not in ("memory", "all"):
            return ProfileResult(breakdown)
        timeline = allocations(call)
        with gzip.open(folder / f"memory{SUFFIX}", "wt", encoding="utf-8") as file:
            json.dump(encode(timeline), file)
        return ProfileResult(breakdown, timeline.peak())


def _once(call: Call) -> None:
    """Make a call in its ranges, for whoever looks from outside."""
    warm(call)
    call.prepare()
    wait(call)
    in_ranges(call, ranges(call))
    wait(call)


def main(arguments: Sequence[str]) -> None:
    """Answer the requests of a profiling session."""
    range_foreign_calls()
    pipe, found = start(arguments)
    serve(pipe, found, ProfilingWorker(found).answer)


if __name__ == "__main__":
    main(sys.argv[1:])
