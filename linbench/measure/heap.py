"""Heap: whether memory that a call frees stays with the process, by glibc's mallopt(3)."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
NEVER = -1
SMALL_BYTES = 128 * 1024
LARGE_BYTES = 32 * 1024**2  # the most that glibc takes as a threshold


def keep_freed() -> None:
    """Have the process keep what it frees, but for blocks of 32 MiB and more, as torch does on CUDA.

    By default glibc gives blocks back to the system by thresholds that move with what the process freed
    before. The same call then meets no page fault in one process and hundreds in the next, where it takes up
    to twice as long, for as long as that process lives. A block of 32 MiB or more is mapped afresh each time,
    as in every process that glibc serves: kept, it would be cut up, and the process grow by more than a call
    needs. Another C library than glibc is left as it is.
    """
    _set({M_TRIM_THRESHOLD: NEVER, M_MMAP_THRESHOLD: LARGE_BYTES})


def return_freed() -> None:
    """Have the process return every block of 128 KiB and more as soon as it is freed, and all that it kept.

    The resident set is then what is in use.
    """
    _set({M_TRIM_THRESHOLD: SMALL_BYTES, M_MMAP_THRESHOLD: SMALL_BYTES})
    trim()


def trim() -> None:
    """Return to the system what was freed and kept."""
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def _set(values: dict[int, int]) -> None:
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for name, value in values.items():
            libc.mallopt(name, value)
