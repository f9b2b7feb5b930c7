"""Estimate: a rough prediction of the memory and the time of a job, before it runs."""

from linbench.core.implementation import Implementation
from linbench.core.operator import Operator
from linbench.core.plan import Settings
from linbench.core.registry import Registry
from linbench.execution.schedule import Job

FLOPS_PER_S = {"cpu": 5e10, "cuda": 5e13}
OVERHEAD_S = 0.4
CALLS_OUTSIDE_SAMPLING = 4


class Unsupported(Exception):
    """A job cannot run; the message is the reason, in one line."""


def estimate(registry: Registry, job: Job, settings: Settings) -> tuple[int, float]:
    """Return the predicted memory, bytes, and the predicted time, seconds, of a job.

    Raises:
        Unsupported: The job cannot run.
    """
    operator = registry.operator(job.operator)
    implementation = registry.implementation(job.implementation)
    reason = implementation.unsupported_reason(operator, job.case)
    if reason is not None:
        raise Unsupported(reason)
    return job_bytes(operator, implementation, job), job_seconds(operator, implementation, job, settings)


def job_bytes(operator: Operator, implementation: Implementation, job: Job) -> int:
    """Return the predicted peak memory of a job, bytes: inputs, outputs and declared workspace."""
    extra = implementation.extra_bytes(job.case) if implementation.extra_bytes else 0
    return operator.input_bytes(job.case) + operator.output_bytes(job.case) + int(extra)


def job_seconds(operator: Operator, implementation: Implementation, job: Job, settings: Settings) -> float:
    """Return the predicted time of a job, seconds, checks included; at most its timeout."""
    call_s = implementation.algorithmic_flops(operator, job.case) / FLOPS_PER_S[job.case.device]
    if settings.once:
        return OVERHEAD_S + call_s
    total_s = OVERHEAD_S + CALLS_OUTSIDE_SAMPLING * call_s + max(settings.min_time_s, 3 * call_s)
    return min(total_s, settings.timeout_s)
