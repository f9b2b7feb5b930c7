"""Failure: what an exception in a worker says of a row."""

from __future__ import annotations

from typing import Any

import torch

from linbench.core.measurement import Status

COMPILE_ERRORS = {"CompilationError", "CompileTimeAssertionFailure", "NVRTCError", "PTXASError"}
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "std::bad_alloc")


def failure(error: BaseException) -> dict[str, Any]:
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
