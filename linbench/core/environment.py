"""Environment: the machine, its libraries and the code, as they stood when a run began."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = (
    "linbench",
    "torch",
    "triton",
    "numpy",
    "cuda-core",
    "nvidia-cuda-nvrtc",
    "flash-linear-attention",
    "flash-attn",
    "mamba-ssm",
)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF")


def capture() -> dict[str, Any]:
    """Return what is known of this machine as plain JSON data, without CUDA and without torch."""
    return {
        "host": host(),
        "gpus": gpus(),
        "libraries": libraries(),
        "git": git_state(Path(__file__).parent),
        "variables": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
    }


def host() -> dict[str, Any]:
    """Return the processor, memory, operating system and load of this machine."""
    import psutil

    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "executable": sys.executable,
    }


def cpu_name() -> str:
    """Return the processor's name as /proc/cpuinfo has it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def gpus() -> list[dict[str, Any]]:
    """Return the NVIDIA GPUs of this machine, read through NVML; none where there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        driver = pynvml.nvmlSystemGetDriverVersion()
        found = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            found.append(
                {
                    "name": pynvml.nvmlDeviceGetName(handle),
                    "uuid": pynvml.nvmlDeviceGetUUID(handle),
                    "memory_bytes": int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
                    "driver": driver,
                }
            )
        return found
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def visible_gpus() -> list[dict[str, Any]]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES leaves, in its order."""
    found = gpus()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return found
    visible = []
    for part in chosen.split(","):
        name = part.strip()
        by_index = found[int(name)] if name.isdigit() and int(name) < len(found) else None
        match = by_index or next((gpu for gpu in found if name and gpu["uuid"].startswith(name)), None)
        if match is None:
            break
        visible.append(match)
    return visible


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that matter and are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return the commit that a folder's checkout is at and whether it is dirty, or None outside one."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", __file__) is None:
        return None
    commit = git("rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(git("status", "--porcelain"))} if commit else None


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Return how a captured environment differs from another in what times depend on, or None.

    Args:
        before: What `capture` gave once.
        now: What it gives now.
    """
    ours, theirs = _essentials(now), _essentials(before)
    for name, value in theirs.items():
        if ours.get(name) != value:
            return f"{name} {value}, and this is {ours.get(name)}"
    return next((f"no {name}, and this is {ours[name]}" for name in ours.keys() - theirs.keys()), None)


def _essentials(captured: Mapping[str, Any]) -> dict[str, Any]:
    git = captured.get("git") or {}
    return {
        "cpu": captured["host"]["cpu"],
        "gpus": ", ".join(f"{gpu['name']} (driver {gpu['driver']})" for gpu in captured["gpus"]) or "none",
        **captured["libraries"],
        **({"commit": git["commit"]} if git else {}),
    }
