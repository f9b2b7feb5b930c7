"""The process that profiles an implementation at a case, or measures ceilings, as request.json asks.

It is started with the folder, and writes answer.json and the files that are to be kept there. Its standard
output and error belong to what it runs.
"""

from __future__ import annotations

import faulthandler
import gzip
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from linbench.core.case import Case
from linbench.core.codec import encode
from linbench.core.measurement import Status
from linbench.core.registry import registry
from linbench.execution.failure import failure
from linbench.execution.worker import end_with_parent
from linbench.measure.call import Call, LaidInputs
from linbench.measure.heap import keep_freed
from linbench.profiling.allocations import allocations
from linbench.profiling.artifact import SUFFIX
from linbench.profiling.extremes import measured
from linbench.profiling.foreign import range_foreign_calls
from linbench.profiling.plain import wait, warm
from linbench.profiling.ranges import in_ranges, ranges
from linbench.profiling.record import record


def profile(request: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return what was found, and write the files that belong to it; a failure is an answer too."""
    implementation = registry.implementation(request["implementation"])
    operator = registry.operator(implementation.operator)
    case = Case.from_json(request["case"])
    reason = implementation.why_not(operator, case)
    if reason is not None:
        return {"status": Status.UNSUPPORTED, "reason": reason}
    call = Call(operator, implementation, case, LaidInputs(operator, case))
    found: dict[str, Any] = {"status": Status.OK}
    if request["tool"] in ("torch", "all"):
        found["breakdown"] = encode(record(call, folder / f"trace{SUFFIX}"))
    if request["tool"] == "proton":
        from linbench.profiling.proton import record_kernels

        found["breakdown"] = encode(record_kernels(call, folder / f"proton{SUFFIX}"))
    if request["tool"] == "ncu":
        _once(call)
    if request["tool"] in ("memory", "all"):
        taken = allocations(call)
        found["memory"] = taken.peak()
        with gzip.open(folder / f"memory{SUFFIX}", "wt", encoding="utf-8") as file:
            json.dump(encode(taken), file)
    return found


def _once(call: Call) -> None:
    """Make a call in its ranges, for whoever looks from outside."""
    warm(call)
    call.prepare()
    wait(call)
    in_ranges(call, ranges(call))
    wait(call)


def ceilings(request: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the ceilings of a device."""
    del folder
    found = [asdict(ceiling) for ceiling in measured(request["device"])]
    return {"status": Status.OK, "ceilings": found}


DEEDS = {"profile": profile, "ceilings": ceilings}


def main(folder: Path) -> None:
    """Answer the request of a folder."""
    end_with_parent()
    faulthandler.enable()
    range_foreign_calls()
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    registry.load(request.get("plugins", ()))
    keep_freed()
    try:
        found = DEEDS[request["do"]](request, folder)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # an implementation may raise anything, SystemExit included
        found = failure(error)
    (folder / "answer.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
