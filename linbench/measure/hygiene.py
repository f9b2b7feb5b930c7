"""Hygiene: what a call leaves behind, beside what it returns: settings, shared memory, memory never freed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor

LEAK_CALLS = 8
LEAK_BYTES = 1024


def _default_device() -> torch.device | None:
    device = torch.get_default_device()
    return None if device.type == "cpu" else device


def _determinism() -> tuple[bool, bool]:
    enabled = torch.are_deterministic_algorithms_enabled()
    return enabled, torch.is_deterministic_algorithms_warn_only_enabled()


def _set_determinism(value: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


CLOCKS = tuple(
    f"{name}{unit}" for name in ("perf_counter", "monotonic", "time", "process_time") for unit in ("", "_ns")
)


def _clocks() -> tuple[object, ...]:
    return tuple(getattr(time, name) for name in CLOCKS)


def _set_clocks(value: tuple[object, ...]) -> None:
    for name, clock in zip(CLOCKS, value, strict=True):
        setattr(time, name, clock)


SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "clocks": (_clocks, _set_clocks),
    "working directory": (os.getcwd, os.chdir),
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (_default_device, torch.set_default_device),
    "number of threads": (torch.get_num_threads, torch.set_num_threads),
    "grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "deterministic algorithms": (_determinism, _set_determinism),
    "float32 matmul precision": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
}


def settings() -> dict[str, object]:
    """Return the global settings of torch and of Python as they stand, by name."""
    return {name: read() for name, (read, _) in SETTINGS.items()}


def put_back(before: Mapping[str, object]) -> list[str]:
    """Set the global settings as they were; return the names of those that had changed."""
    changed = [name for name, value in settings().items() if value != before[name]]
    for name in changed:
        SETTINGS[name][1](before[name])
    return changed


def reseed(seed: int) -> None:
    """Seed torch's random numbers, on the CPU and on CUDA where it is in use.

    torch.manual_seed does the same and asks after every other device too, which takes 90 us a call.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


def copied(returned: object) -> object:
    """Return a copy of what a call returned, as it stands now: it waits for the current stream alone.

    What a call leaves to another thread or to another stream to finish is not in the copy.
    """
    if isinstance(returned, tuple | list):
        return tuple(copied(part) for part in returned)
    return returned.detach().clone() if isinstance(returned, Tensor) else returned


def spoil(returned: object, spared: Collection[Tensor]) -> None:
    """Fill every tensor that a call returned with NaN, but for memory that a spared tensor lies in."""
    if isinstance(returned, tuple | list):
        for part in returned:
            spoil(part, spared)
    elif isinstance(returned, Tensor) and returned.is_floating_point():
        address = returned.untyped_storage().data_ptr()
        if all(tensor.untyped_storage().data_ptr() != address for tensor in spared):
            returned.detach().fill_(torch.nan)


def same_bits(one: object, other: object) -> bool:
    """Return whether two results are the same to the bit; NaN is the same as NaN of the same bits."""
    if isinstance(one, tuple | list):
        if not isinstance(other, tuple | list) or len(one) != len(other):
            return False
        return all(map(same_bits, one, other))
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return one is other or one == other
    as_bytes = (tensor.contiguous().flatten().view(torch.uint8) for tensor in (one, other))
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(*as_bytes)


def shared(returned: object, given: Mapping[str, Tensor]) -> str | None:
    """Return the name of a given tensor whose memory something returned lies in, or None."""
    if isinstance(returned, tuple | list):
        return next((name for name in (shared(part, given) for part in returned) if name), None)
    if not isinstance(returned, Tensor) or not returned.numel():
        return None
    address = returned.untyped_storage().data_ptr()
    found = (name for name, tensor in given.items() if tensor.untyped_storage().data_ptr() == address)
    return next(found, None)


def leak(kept_bytes: int, again: Callable[[], int]) -> int:
    """Return the bytes that every call leaves allocated, 0 if one of several successive calls leaves none.

    A cache that is filled once, or a few times, is no leak. Less than `LEAK_BYTES` counts as nothing.

    Args:
        kept_bytes: What a first warm call left allocated; where that is nothing, no other is made.
        again: Makes another call and returns what it left.
    """
    least = kept_bytes
    for _ in range(LEAK_CALLS - 1):
        if least < LEAK_BYTES:
            return 0
        least = min(least, again())
    return least if least >= LEAK_BYTES else 0
