"""Process: one that answers a single request and ends; a folder is between it and who asks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from linbench.core.gpu import visible_gpus
from linbench.core.measurement import Status

COMMAND = (sys.executable, "-P", "-m", "linbench.profiling.worker")
LOG_TAIL = 400
NAME_KERNELS = {"TORCHINDUCTOR_CPP_ENABLE_KERNEL_PROFILE": "1"}


def answer(
    request: Mapping[str, Any], device: str, folder: Path, timeout_s: float, under: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what a fresh process answers, or how it ended without; files that it writes are in the folder.

    Args:
        request: What `linbench.profiling.worker` is to do.
        device: cpu or cuda.
        folder: An empty one.
        timeout_s: End it after this long.
        under: The command that starts it, as ncu does; none starts it as it is.
    """
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    variables = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **NAME_KERNELS}
    if device == "cuda":  # the card that is held, whatever the order that CUDA counts in
        variables["CUDA_VISIBLE_DEVICES"] = visible_gpus()[0].uuid
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*under, *COMMAND, str(folder)],
            env=os.environ | variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return {"status": Status.TIMEOUT, "reason": f"not done within {timeout_s:.4g} s (--timeout)"}
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    try:
        found: dict[str, Any] = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"status": Status.CRASHED, "reason": f"{_ended(code)}: {_last_line(log)}"}
    return found


def _ended(code: int) -> str:
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")[-LOG_TAIL:]
