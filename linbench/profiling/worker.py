"""The process that profiles an implementation at a case or measures ceilings.

Its standard output and error belong to the code that it runs.
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
from linbench.profiling.peaks import measure_ceilings
from linbench.profiling.plain import wait, warm_up
from linbench.profiling.ranges import in_ranges, ranges
from linbench.profiling.torch_profiler import profile_call


class ProfilingWorker:
    """Answers the requests of a profiling session."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def answer(self, request: object) -> Answer:
        """Return the answer to one request; a failure is an answer with its status and reason."""
        try:
            match request:
                case ProfileCall():
                    return self.profile(request)
                case MeasureCeilings():
                    return CeilingsResult(tuple(measure_ceilings(request.device)))
            raise TypeError(f"{type(request).__name__} is not a request of a profiling session")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an implementation may raise anything, SystemExit included
            return failure(error)

    def profile(self, request: ProfileCall) -> ProfileResult:
        """Return the result of a profiler and write its files."""
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
            _call_in_ranges(call)
        if tool not in ("memory", "all"):
            return ProfileResult(breakdown)
        timeline = allocations(call)
        with gzip.open(folder / f"memory{SUFFIX}", "wt", encoding="utf-8") as file:
            json.dump(encode(timeline), file)
        return ProfileResult(breakdown, timeline.peak())


def _call_in_ranges(call: Call) -> None:
    """Make a call in its ranges, for a profiler outside this process."""
    warm_up(call)
    call.prepare()
    wait(call)
    in_ranges(call, ranges(call))
    wait(call)


def main(arguments: Sequence[str]) -> None:
    """Answer the requests of a profiling session."""
    range_foreign_calls()
    pipe, registry = start(arguments)
    serve(pipe, registry, ProfilingWorker(registry).answer)


if __name__ == "__main__":
    main(sys.argv[1:])
