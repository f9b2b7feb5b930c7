"""Failure: the status and the reason of a row whose worker raised an exception."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from linbench.core.measurement import Status, TensorError
from linbench.execution.messages import Failure

COMPILE_ERRORS = {"CompilationError", "CompileTimeAssertionFailure", "NVRTCError", "PTXASError"}
OUT_OF_MEMORY_MESSAGES = ("can't allocate memory", "not enough memory", "out of memory", "std::bad_alloc")


class Stop(Exception):
    """A request failed; `failure` is the answer to it."""

    def __init__(self, status: Status, reason: str, errors: Mapping[str, TensorError] | None = None) -> None:
        super().__init__(reason)
        self.failure = Failure(status, reason, getattr(reason, "cause", None), errors or {})


def failure(error: BaseException) -> Failure:
    """Return the answer for an exception: its status and one line."""
    if isinstance(error, Stop):
        return error.failure
    line = " ".join(str(error).split())[:500]
    kind = type(error).__name__
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or any(
        part in line.lower() for part in OUT_OF_MEMORY_MESSAGES
    ):
        return Failure(Status.OOM, line or "out of memory")
    if isinstance(error, NotImplementedError):
        return Failure(Status.UNSUPPORTED, line or "not implemented")
    if kind in COMPILE_ERRORS:
        return Failure(Status.COMPILE_ERROR, f"{kind}: {line}")
    return Failure(Status.ERROR, f"{kind}: {line}" if line else kind)


def device_is_lost() -> bool:
    """Return whether this process has a CUDA context that is broken, so that the process must be replaced."""
    if not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
    except Exception:  # whatever a broken context raises
        return True
    return False
