"""GPU: the NVIDIA devices of this machine, read through NVML."""

from __future__ import annotations

import os
from dataclasses import dataclass

from linbench.core.bounds import Bytes


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
        name: Name that the driver reports.
        uuid: Unique identifier; empty where it is not known.
        memory_bytes: Total memory.
        driver: Version of the driver.
    """

    name: str
    uuid: str
    memory_bytes: Bytes
    driver: str


def gpus() -> list[Gpu]:
    """Return the NVIDIA GPUs of this machine; an empty list without a driver."""
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
    """Return the GPUs that CUDA_VISIBLE_DEVICES makes visible, in its order."""
    all_gpus = gpus()
    selection = os.environ.get("CUDA_VISIBLE_DEVICES")
    if selection is None:
        return all_gpus
    visible = []
    for part in selection.split(","):
        name = part.strip()
        by_index = all_gpus[int(name)] if name.isdigit() and int(name) < len(all_gpus) else None
        match = by_index or next((gpu for gpu in all_gpus if name and gpu.uuid.startswith(name)), None)
        if match is None:
            break
        visible.append(match)
    return visible
