"""Tool: what looks at a call. Some look at a CUDA device alone, and have to be there."""

from __future__ import annotations

import shutil
from importlib.util import find_spec

from linbench.core.errors import EnvironmentRefused, UsageError

OF_DEVICES = {"proton": "Triton's profiler", "ncu": "Nsight Compute"}


def check_tool(tool: str, device: str) -> None:
    """Raise if a tool cannot look at calls on a kind of device here.

    Raises:
        UsageError: It looks at no such device.
        EnvironmentRefused: It is not there.
    """
    if tool not in OF_DEVICES:
        return
    if device != "cuda":
        raise UsageError(
            f"--tool {tool}: {OF_DEVICES[tool]} looks at the kernels of a CUDA device, not at {device}; "
            "use --tool torch or --tool memory, or --device cuda where there is one"
        )
    if tool == "proton" and find_spec("triton") is None:
        raise EnvironmentRefused(
            "--tool proton: triton is not installed; `pip install linbench[cuda]`, or use --tool torch"
        )
    if tool == "ncu":
        ncu()


def ncu() -> str:
    """Return where Nsight Compute's command line is.

    Raises:
        EnvironmentRefused: There is none on PATH.
    """
    found = shutil.which("ncu")
    if found is None:
        raise EnvironmentRefused(
            "--tool ncu: there is no ncu on PATH; CUDA's toolkit has one, as in "
            "`export PATH=$PATH:/usr/local/cuda/bin`, or use --tool torch, which needs none"
        )
    return found
