"""Session: profiles an implementation at a case in a separate process and stores the results."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from linbench.core import environment
from linbench.core.ceiling import Ceiling
from linbench.core.errors import EnvironmentRefused
from linbench.core.measurement import Status
from linbench.core.profile import Profile
from linbench.core.registry import Registry
from linbench.execution.client import RequestError
from linbench.execution.estimate import job_bytes
from linbench.execution.messages import MeasureCeilings, ProfileCall, ProfileResult
from linbench.execution.resident import safe_memory_bytes
from linbench.execution.schedule import Job
from linbench.profiling.artifact import SUFFIX, Artifacts
from linbench.profiling.counters import profile_under_ncu
from linbench.profiling.single import ask_once, profiling_launch

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
        registry: Operators and implementations by name.
        job: The implementation and the case.
        tool: One of `linbench.core.profile.TOOLS`.
        plugins: Files to load in addition to the installed implementations.
        timeout_s: Time limit of the process, seconds.
        artifacts: Storage of the files.

    Raises:
        EnvironmentRefused: ncu is missing, or has no permission.
    """
    implementation = registry.implementation(job.implementation)
    status, reason = Status.OK, None
    result = ProfileResult()
    digests: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="linbench-") as name:
        folder = Path(name)
        request = ProfileCall(job.implementation, job.case, tool, str(folder))
        try:
            _check_job(registry, job)
            launch = profiling_launch(job.case.device, tuple(plugins))
            if tool == "ncu":
                result = profile_under_ncu(launch, request, timeout_s)
            else:
                result = ask_once(launch, request, timeout_s)
            files = {kind: folder / f"{kind}{SUFFIX}" for kind in ARTIFACTS}
            digests = {kind: artifacts.save(file) for kind, file in files.items() if file.exists()}
        except RequestError as error:
            status, reason = error.status, error.reason
    return Profile(
        operator=job.operator,
        implementation=job.implementation,
        case=job.case,
        tool=tool,
        status=status,
        reason=reason,
        breakdown=result.breakdown,
        memory=result.memory,
        artifacts=digests,
        environment=environment.capture({job.implementation: implementation.origin}),
        profiled_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def find_ceilings(device: str) -> list[Ceiling]:
    """Return the ceilings of a kind of device, measured in a fresh process.

    Raises:
        EnvironmentRefused: The process failed or did not finish.
    """
    try:
        return list(ask_once(profiling_launch(device), MeasureCeilings(device), CEILINGS_TIMEOUT_S).ceilings)
    except RequestError as error:
        raise EnvironmentRefused(f"the ceilings cannot be measured: {error.reason}") from None


def _check_job(registry: Registry, job: Job) -> None:
    """Raise RequestError if a job is unsupported or would exceed the memory limit."""
    operator = registry.operator(job.operator)
    implementation = registry.implementation(job.implementation)
    reason = operator.unsupported_reason(job.case) or implementation.missing_capability(operator, job.case)
    if reason is not None:
        raise RequestError(Status.UNSUPPORTED, reason)
    needed, allowed = job_bytes(operator, implementation, job), safe_memory_bytes()
    if job.case.device == "cpu" and needed > allowed:
        reason = f"predicted to need {needed / 2**30:.3g} GiB; {allowed / 2**30:.3g} GiB may be used"
        raise RequestError(Status.SKIPPED, reason)
