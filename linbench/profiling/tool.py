"""Tool: what looks at a call. One looks at a CUDA device alone, and has to be there."""

from __future__ import annotations

from importlib.util import find_spec

from linbench.core.errors import EnvironmentRefused, UsageError

OF_DEVICES = {"proton": "Triton's profiler"}


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
