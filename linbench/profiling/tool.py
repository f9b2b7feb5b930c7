"""Tool: a profiler of a call. Some support only CUDA devices and must be installed."""

from __future__ import annotations

import shutil
from importlib.util import find_spec

from linbench.core.errors import EnvironmentRefused, UsageError

OF_DEVICES = {"proton": "Triton's profiler", "ncu": "Nsight Compute"}


def check_tool(tool: str, device: str) -> None:
    """Raise if a tool cannot profile calls on a kind of device on this machine.

    Raises:
        UsageError: The tool does not support the device.
        EnvironmentRefused: The tool is not installed.
    """
    if tool not in OF_DEVICES:
        return
    if device != "cuda":
        raise UsageError(
            f"--tool {tool}: {OF_DEVICES[tool]} profiles kernels on CUDA devices only, not on {device}; "
            "use --tool torch or --tool memory, or --device cuda on a machine with a GPU"
        )
    if tool == "proton" and find_spec("triton") is None:
        raise EnvironmentRefused(
            "--tool proton: triton is not installed; `pip install linbench[cuda]`, or use --tool torch"
        )
    if tool == "ncu":
        ncu()


def ncu() -> str:
    """Return the path of Nsight Compute's command-line program.

    Raises:
        EnvironmentRefused: There is no ncu on PATH.
    """
    program = shutil.which("ncu")
    if program is None:
        raise EnvironmentRefused(
            "--tool ncu: there is no ncu on PATH; the CUDA toolkit includes it: "
            "`export PATH=$PATH:/usr/local/cuda/bin`, or use --tool torch, which does not need it"
        )
    return program
