"""Profile: where the time of one call went, line by line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from linbench.core.case import Case
from linbench.core.environment import Environment
from linbench.core.measurement import Status


class Kind(StrEnum):
    """What a line's time is of."""

    OPERATOR = "operator"
    FOREIGN = "foreign"
    DISPATCHER = "dispatcher"
    PYTHON = "python"
    KERNEL = "kernel"
    GAP = "gap"


TOOLS = ("torch", "proton", "ncu", "memory", "all")
COUNTERS = ("dram", "sm", "tensor", "occupancy", "registers")
HOST = frozenset({Kind.DISPATCHER, Kind.PYTHON})
SUMS_ALONE = frozenset({"proton", "ncu"})  # they add up kernels, and do not say when each ran
HOST_BOUND: Final = 0.3
"""The share of its time from which on a call is said to wait for the host."""


@dataclass(frozen=True)
class Line:
    """What one operator, kernel or kind of overhead took of one call, the mean over the profiled calls.

    Attributes:
        phase: fwd, bwd, prefill or decode.
        name: Of the operator, as torch has it, of the kernel or of the C function.
        kind: operator (computes, on the CPU), foreign (C called through ctypes, or compiled by
            torch.compile), dispatcher (views, allocations and operators that only call others), python (no
            operator was running), kernel (on a device), gap (the device waited).
        calls: How often it was called.
        total_s: Time in it and in what it called, seconds.
        self_s: Time in itself alone; these add up to the time of the call.
        flops: Operations, as torch or the kernel's launch hook counts them, or None where neither does.
        bytes: Of its tensor arguments, each read once, and of what it allocated; by proton what the launch
            hook says; by ncu those that went to and from the device's memory; None where not known.
        counters: What ncu read, by the names of `COUNTERS`: throughput of memory, multiprocessors and tensor
            pipe over the most that can be sustained; warps over the most that fit; registers of a thread.
    """

    phase: str
    name: str
    kind: Kind
    calls: float
    total_s: float
    self_s: float
    flops: float | None = None
    bytes: float | None = None
    counters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Breakdown:
    """Where the time of one call went.

    Attributes:
        lines: The longest first.
        calls: How many calls were profiled.
        wall_s: Time of a profiled call that is to be accounted for, seconds: by the host's clock on the CPU
            and under proton, from the start of its first kernel to the end of its last on a device, the sum
            of its kernels under ncu, which runs one at a time.
        plain_s: Median wall time of the same call without a profiler, seconds, the device waited for; None
            under ncu, as are the three that follow.
        cpu_s: Processor time of the process in it, all threads, seconds.
        page_faults: Minor page faults in it.
        threads: Threads that torch may use.
        times_s: The call by several timers, seconds; only on a device.
    """

    lines: tuple[Line, ...]
    calls: int
    wall_s: float
    plain_s: float | None = None
    cpu_s: float | None = None
    page_faults: float | None = None
    threads: int | None = None
    times_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def accounted(self) -> float:
        """The share of the wall time that the lines account for."""
        return sum(line.self_s for line in self.lines) / self.wall_s if self.wall_s else 0.0

    def share(self, *kinds: Kind) -> float:
        """Return the share of the wall time that lines of some kinds took."""
        if not self.wall_s:
            return 0.0
        return sum(line.self_s for line in self.lines if line.kind in kinds) / self.wall_s

    def host_share(self, tool: str, device: str) -> float | None:
        """Return the share of the wall time in which the host was waited for; None if the tool does not tell.

        On CUDA these are the gaps between kernels, on the CPU Python and the dispatcher.
        """
        if tool in SUMS_ALONE:
            return None
        return self.share(Kind.GAP) if device == "cuda" else self.share(*HOST)


@dataclass(frozen=True)
class Profile:
    """An implementation at a case under a profiler; never a row with a time.

    Attributes:
        operator: Name of the operator.
        implementation: Full name of the implementation.
        case: Where it was profiled.
        tool: One of `TOOLS`.
        status: How it ended.
        environment: The machine, its libraries and the code.
        reason: One line that says why; only an ok one may have none.
        breakdown: Where the time went; None unless asked for.
        memory: What the peak was for, bytes by part; empty unless asked for.
        artifacts: SHA-256 of the files that were kept, by what they are: trace, memory, proton, ncu.
        profiled_at: When, ISO 8601 in UTC.
        id: Its number in the store; 0 if it is not stored.
    """

    operator: str
    implementation: str
    case: Case
    tool: str
    status: Status
    environment: Environment = field(repr=False)
    reason: str | None = None
    breakdown: Breakdown | None = None
    memory: Mapping[str, int] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    profiled_at: str = ""
    id: int = 0

    def __post_init__(self) -> None:
        if self.status is not Status.OK and not self.reason:
            raise ValueError(f"a profile that is {self.status} must say why")
