"""GPU: the NVIDIA devices of this machine, read through NVML."""

from __future__ import annotations

import os
from dataclasses import dataclass

from linbench.core.bounds import Bytes


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
        name: As the driver has it.
        uuid: What tells it from every other; empty where it is not known.
        memory_bytes: In all.
        driver: Version of the driver.
    """

    name: str
    uuid: str
    memory_bytes: Bytes
    driver: str


def gpus() -> list[Gpu]:
    """Return the NVIDIA GPUs of this machine; none where there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        driver = pynvml.nvmlSystemGetDriverVersion()
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        return [
            Gpu(
                name=pynvml.nvmlDeviceGetName(handle),
                uuid=pynvml.nvmlDeviceGetUUID(handle),
                memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
                driver=driver,
            )
            for handle in handles
        ]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def visible_gpus() -> list[Gpu]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES leaves, in its order."""
    every = gpus()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return every
    visible = []
    for part in chosen.split(","):
        name = part.strip()
        by_index = every[int(name)] if name.isdigit() and int(name) < len(every) else None
        match = by_index or next((gpu for gpu in every if name and gpu.uuid.startswith(name)), None)
        if match is None:
            break
        visible.append(match)
    return visible
