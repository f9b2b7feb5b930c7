"""Scheduling: scheduler counters of the calling thread and its process, and whether a call was contended."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path

CONTENDED_SHARE = 0.02
SCHEDSTAT = Path("/proc/thread-self/schedstat")


@dataclass(frozen=True)
class SchedulerCounters:
    """Scheduler counters of the calling thread and its process at one moment; they only increase.

    Attributes:
        switches: Involuntary context switches of the process's threads.
        thread_switches: Involuntary context switches of the calling thread alone.
        thread_cpu_s: Processor time of the calling thread.
        thread_waited_s: Time for which the calling thread was runnable and waited for a processor; None where
            the kernel does not report it.
    """

    switches: int
    thread_switches: int
    thread_cpu_s: float
    thread_waited_s: float | None


def scheduler_counters(schedstat: Path = SCHEDSTAT) -> SchedulerCounters:
    """Return the current counters of the calling thread and its process.

    The waiting time is the second field of schedstat, in nanoseconds (Linux, Documentation/scheduler,
    sched-stats).
    """
    process = resource.getrusage(resource.RUSAGE_SELF)
    thread = resource.getrusage(resource.RUSAGE_THREAD)
    try:
        waited_s = int(schedstat.read_bytes().split()[1]) * 1e-9
    except (OSError, IndexError):  # a kernel without CONFIG_SCHED_INFO, or a /proc that hides it
        waited_s = None
    return SchedulerCounters(process.ru_nivcsw, thread.ru_nivcsw, thread.ru_utime + thread.ru_stime, waited_s)


def contended(before: SchedulerCounters, after: SchedulerCounters, wall_s: float) -> bool:
    """Return whether the thread was preempted and waited for more than 2% of the wall time.

    Where the kernel does not report the waiting time, all the time that the thread did not run counts as
    waiting, including voluntary sleep.
    """
    if before.thread_waited_s is None or after.thread_waited_s is None:
        waited_s = wall_s - (after.thread_cpu_s - before.thread_cpu_s)
    else:
        waited_s = after.thread_waited_s - before.thread_waited_s
    return after.thread_switches > before.thread_switches and waited_s > CONTENDED_SHARE * wall_s
