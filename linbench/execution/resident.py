"""Resident: the resident memory of processes, and the memory that is available."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil

FREE_SHARE = 0.8
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process and its descendants; 0 if the process does not exist.

    It is called every 50 ms during timing, so it reads /proc directly, in 60 us; the children of psutil scan
    every process of the machine, which takes a millisecond or more.
    """
    total = 0
    for member in _family(pid):
        with suppress(OSError):
            pages = Path(f"/proc/{member}/statm").read_text(encoding="ascii").split()[1]
            total += int(pages) * PAGE_BYTES
    return total


def _family(pid: int) -> list[int]:
    """Return the ids of a process and its descendants that still exist."""
    pids = [pid]
    for parent in pids:  # the list grows during the loop
        with suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                children = Path(f"/proc/{parent}/task/{task}/children").read_text(encoding="ascii")
                pids += map(int, children.split())
    return pids


def safe_memory_bytes() -> int:
    """Return 80% of the memory that is free now, within the control group's limit if there is one."""
    free: int = psutil.virtual_memory().available
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        if limit != "max":
            current = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
            free = max(0, min(free, int(limit) - current + _reclaimable_bytes()))
    except (OSError, ValueError):
        pass
    return int(FREE_SHARE * free)


def _reclaimable_bytes() -> int:
    """Return the size of the page cache that the control group can drop at once."""
    stat = Path("/sys/fs/cgroup/memory.stat").read_text(encoding="ascii")
    return next((int(line.split()[1]) for line in stat.splitlines() if line.startswith("inactive_file ")), 0)
