"""Resident: the memory that processes hold, and that may be taken."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil

FREE_SHARE = 0.8
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process and of all that it started; 0 if it is gone.

    It is asked every 50 ms beside what is being timed, so it reads /proc by itself, in 60 us; psutil's
    children look through every process of the machine, which takes a millisecond or more.
    """
    total = 0
    for member in _family(pid):
        with suppress(OSError):
            pages = Path(f"/proc/{member}/statm").read_text(encoding="ascii").split()[1]
            total += int(pages) * PAGE_BYTES
    return total


def _family(pid: int) -> list[int]:
    """Return a process and all that it started, as far as they are still there."""
    found = [pid]
    for parent in found:  # which grows meanwhile
        with suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                children = Path(f"/proc/{parent}/task/{task}/children").read_text(encoding="ascii")
                found += map(int, children.split())
    return found


def safe_memory_bytes() -> int:
    """Return 80% of the memory that is free now, within the control group's bound if there is one."""
    free: int = psutil.virtual_memory().available
    try:
        bound = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        if bound != "max":
            used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
            free = max(0, min(free, int(bound) - used + _reclaimable_bytes()))
    except (OSError, ValueError):
        pass
    return int(FREE_SHARE * free)


def _reclaimable_bytes() -> int:
    """Return the page cache that the control group can drop at once."""
    stat = Path("/sys/fs/cgroup/memory.stat").read_text(encoding="ascii")
    return next((int(line.split()[1]) for line in stat.splitlines() if line.startswith("inactive_file ")), 0)
