"""Single: one request to a fresh worker, which exits afterwards."""

from __future__ import annotations

from typing import TypeVar

from linbench.core.gpu import visible_gpus
from linbench.core.measurement import Status
from linbench.execution.client import RequestError, WorkerLost, spawn
from linbench.execution.messages import Answer, Request
from linbench.execution.process import Launch
from linbench.execution.resident import safe_memory_bytes

A = TypeVar("A", bound=Answer)
CLOSING_S = 60.0
NAME_KERNELS = {"TORCHINDUCTOR_CPP_ENABLE_KERNEL_PROFILE": "1"}


def profiling_launch(device: str, plugins: tuple[str, ...] = ()) -> Launch:
    """Return the launch of a worker that profiles on a kind of device."""
    variables = dict(NAME_KERNELS)
    if device == "cuda":  # the reserved GPU, independent of CUDA's device order
        variables["CUDA_VISIBLE_DEVICES"] = visible_gpus()[0].uuid
    return Launch(plugins, safe_memory_bytes(), variables=variables, module="linbench.profiling.worker")


def ask_once(launch: Launch, request: Request[A], timeout_s: float) -> A:
    """Return the answer of a fresh worker.

    Raises:
        RequestError: The request failed, or the worker died, hung or used too much memory.
        EnvironmentRefused: The worker cannot be started.
    """
    worker = spawn(launch)
    try:
        answer = worker.ask(request, timeout_s)
    except WorkerLost as lost:
        if lost.status is Status.TIMEOUT:
            raise RequestError(Status.TIMEOUT, f"not done within {timeout_s:.4g} s (--timeout)") from None
        raise
    except BaseException:
        worker.end()
        raise
    worker.close(CLOSING_S)
    return answer
