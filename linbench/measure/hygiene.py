"""Hygiene: the side effects of a call: changed settings, results that alias inputs, memory leaks."""

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
    """Return the current global settings of torch and of Python, by name."""
    return {name: read() for name, (read, _) in SETTINGS.items()}


def restore_settings(before: Mapping[str, object]) -> list[str]:
    """Restore the global settings and return the names of those that had changed."""
    changed = [name for name, value in settings().items() if value != before[name]]
    for name in changed:
        SETTINGS[name][1](before[name])
    return changed


def reseed(seed: int) -> None:
    """Seed torch's random numbers, on the CPU and on CUDA where it is in use.

    torch.manual_seed also looks for every other kind of device, which takes 90 us per call.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


def copy_result(returned: object) -> object:
    """Return a copy of the result of a call, in order with the current stream only.

    Results that another thread or another stream writes later are not in the copy.
    """
    if isinstance(returned, tuple | list):
        return tuple(copy_result(part) for part in returned)
    return returned.detach().clone() if isinstance(returned, Tensor) else returned


def spoil(returned: object, spared: Collection[Tensor]) -> None:
    """Fill every tensor that a call returned with NaN, unless it shares memory with a spared tensor."""
    if isinstance(returned, tuple | list):
        for part in returned:
            spoil(part, spared)
    elif isinstance(returned, Tensor) and returned.is_floating_point():
        address = returned.untyped_storage().data_ptr()
        if all(tensor.untyped_storage().data_ptr() != address for tensor in spared):
            returned.detach().fill_(torch.nan)


def same_bits(a: object, b: object) -> bool:
    """Return whether two results are bitwise equal; NaN equals NaN with the same bits."""
    if isinstance(a, tuple | list):
        if not isinstance(b, tuple | list) or len(a) != len(b):
            return False
        return all(map(same_bits, a, b))
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        return a is b or a == b
    as_bytes = (tensor.contiguous().flatten().view(torch.uint8) for tensor in (a, b))
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(*as_bytes)


def aliased_input(returned: object, inputs: Mapping[str, Tensor]) -> str | None:
    """Return the name of an input that shares memory with a returned tensor, or None."""
    if isinstance(returned, tuple | list):
        return next((name for name in (aliased_input(part, inputs) for part in returned) if name), None)
    if not isinstance(returned, Tensor) or not returned.numel():
        return None
    address = returned.untyped_storage().data_ptr()
    names = (name for name, tensor in inputs.items() if tensor.untyped_storage().data_ptr() == address)
    return next(names, None)


def leak(left_bytes: int, repeat: Callable[[], int]) -> int:
    """Return the bytes that every call leaves allocated, 0 if one of several successive calls leaves none.

    A cache that is filled once, or a few times, is not a leak. Less than `LEAK_BYTES` counts as zero.

    Args:
        left_bytes: Bytes that the first warm call left allocated; if zero, the call is not repeated.
        repeat: Function that repeats the call and returns the bytes that it left allocated.
    """
    least = left_bytes
    for _ in range(LEAK_CALLS - 1):
        if least < LEAK_BYTES:
            return 0
        least = min(least, repeat())
    return least if least >= LEAK_BYTES else 0
