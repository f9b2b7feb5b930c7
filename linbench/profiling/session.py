"""Session: has a process of its own profile an implementation at a case, and keeps what it found."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from linbench.core import environment
from linbench.core.ceiling import Ceiling
from linbench.core.codec import decode
from linbench.core.errors import EnvironmentRefused
from linbench.core.measurement import Status
from linbench.core.profile import Breakdown, Profile
from linbench.core.registry import Registry
from linbench.execution.estimate import job_bytes
from linbench.execution.process import safe_memory_bytes
from linbench.execution.schedule import Job
from linbench.profiling.artifact import SUFFIX, Artifacts
from linbench.profiling.counters import answer_counted
from linbench.profiling.process import answer

CEILINGS_TIMEOUT_S = 600.0
ARTIFACTS = ("trace", "memory", "proton", "ncu")


def profile(
    registry: Registry,
    job: Job,
    tool: str,
    *,
    plugins: Sequence[str] = (),
    timeout_s: float,
    artifacts: Artifacts,
) -> Profile:
    """Return the profile of a job, taken in a fresh process; a failure is a profile with a reason.

    Args:
        registry: Where names are looked up.
        job: The implementation and the case.
        tool: One of `linbench.core.profile.TOOLS`.
        plugins: Files to load beside what is installed.
        timeout_s: Give up after this long.
        artifacts: Where files are kept.

    Raises:
        EnvironmentRefused: ncu is not there, or has no permission.
    """
    implementation = registry.implementation(job.implementation)
    found = _predicted(registry, job)
    kept: dict[str, str] = {}
    if found is None:
        with tempfile.TemporaryDirectory(prefix="linbench-") as name:
            request = {
                "do": "profile",
                "implementation": job.implementation,
                "case": job.case.to_json(),
                "tool": tool,
                "plugins": list(plugins),
            }
            ask = answer_counted if tool == "ncu" else answer
            found = ask(request, job.case.device, Path(name), timeout_s)
            files = {kind: Path(name) / f"{kind}{SUFFIX}" for kind in ARTIFACTS}
            if found["status"] == Status.OK:
                kept = {kind: artifacts.keep(file) for kind, file in files.items() if file.exists()}
    breakdown = found.get("breakdown")
    return Profile(
        operator=job.operator,
        implementation=job.implementation,
        case=job.case,
        tool=tool,
        status=Status(found["status"]),
        reason=found.get("reason"),
        breakdown=decode(Breakdown, breakdown) if breakdown else None,
        memory=found.get("memory") or {},
        artifacts=kept,
        environment=environment.capture({job.implementation: implementation.origin}),
        profiled_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def find_ceilings(device: str) -> list[Ceiling]:
    """Return the ceilings of a kind of device, measured in a fresh process.

    Raises:
        EnvironmentRefused: It came to no end.
    """
    with tempfile.TemporaryDirectory(prefix="linbench-") as name:
        found = answer({"do": "ceilings", "device": device}, device, Path(name), CEILINGS_TIMEOUT_S)
    if found["status"] != Status.OK:
        raise EnvironmentRefused(f"the ceilings cannot be measured: {found['reason']}")
    return [Ceiling(**one) for one in found["ceilings"]]


def _predicted(registry: Registry, job: Job) -> dict[str, Any] | None:
    """Return what becomes of a job that need not be tried, or None."""
    operator = registry.operator(job.operator)
    implementation = registry.implementation(job.implementation)
    reason = operator.why_not(job.case) or implementation.lacks(operator, job.case)
    if reason is not None:
        return {"status": Status.UNSUPPORTED, "reason": reason}
    needed, allowed = job_bytes(operator, implementation, job), safe_memory_bytes()
    if job.case.device == "cpu" and needed > allowed:
        reason = f"predicted to need {needed / 2**30:.3g} GiB; {allowed / 2**30:.3g} GiB may be used"
        return {"status": Status.SKIPPED, "reason": reason}
    return None
