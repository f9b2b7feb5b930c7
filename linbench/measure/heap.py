"""Heap: whether the process keeps the memory that a call frees, by glibc's mallopt(3)."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
NEVER = -1
SMALL_BYTES = 128 * 1024
LARGE_BYTES = 32 * 1024**2  # the largest threshold that glibc accepts


def keep_freed() -> None:
    """Make the process keep freed memory, except blocks of 32 MiB and more, as torch does on CUDA.

    By default glibc returns blocks to the system by thresholds that depend on what the process freed before.
    The same call then has no page faults in one process and hundreds in the next, where it takes up to twice
    as long for the lifetime of that process. A block of 32 MiB or more is mapped anew each time, as in every
    process with glibc: if it were kept, it would be fragmented, and the process would grow by more than a
    call needs. C libraries other than glibc are not changed.
    """
    _set({M_TRIM_THRESHOLD: NEVER, M_MMAP_THRESHOLD: LARGE_BYTES})


def return_freed() -> None:
    """Make the process return freed blocks of 128 KiB and more at once, and all memory that it kept.

    The resident set size is then the memory in use.
    """
    _set({M_TRIM_THRESHOLD: SMALL_BYTES, M_MMAP_THRESHOLD: SMALL_BYTES})
    trim()


def trim() -> None:
    """Return free memory of the heap to the system."""
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def _set(values: dict[int, int]) -> None:
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for name, value in values.items():
            libc.mallopt(name, value)
