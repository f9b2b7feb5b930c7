"""Profile: the breakdown of the time of one call, line by line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from linbench.core.case import Case
from linbench.core.environment import Environment
from linbench.core.measurement import Status


class Kind(StrEnum):
    """The kind of activity of a line."""

    OPERATOR = "operator"
    FOREIGN = "foreign"
    DISPATCHER = "dispatcher"
    PYTHON = "python"
    KERNEL = "kernel"
    GAP = "gap"


TOOLS = ("torch", "proton", "ncu", "memory", "all")
COUNTERS = ("dram", "sm", "tensor", "occupancy", "registers")
HOST = frozenset({Kind.DISPATCHER, Kind.PYTHON})
SUMS_ALONE = frozenset({"proton", "ncu"})  # they report sums over kernels, not when each ran
HOST_BOUND: Final = 0.3
"""The share of its time spent waiting for the host from which a call counts as host-bound."""


@dataclass(frozen=True)
class Line:
    """The time of one operator, kernel or kind of overhead per call, the mean over the profiled calls.

    Attributes:
        phase: fwd, bwd, prefill or decode.
        name: Name of the operator in torch, of the kernel or of the C function.
        kind: operator (computes, on the CPU), foreign (C called through ctypes, or compiled by
            torch.compile), dispatcher (views, allocations and operators that only call others), python (no
            operator was running), kernel (on a device), gap (the device was idle).
        calls: Number of calls of it.
        total_s: Time including that of its callees, seconds.
        self_s: Time without its callees, seconds; these add up to the time of the call.
        flops: Operations as counted by torch or by the kernel's launch hook, or None where neither does.
        bytes: Bytes of its tensor arguments, each read once, and of its allocations; under proton, bytes
            reported by the launch hook; under ncu, bytes to and from the device's memory; None where unknown.
        counters: Counters of ncu, by the names of `COUNTERS`: throughput of memory, multiprocessors and
            tensor pipe relative to the sustainable peak; occupancy (warps relative to the most that fit);
            registers per thread.
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
    """The breakdown of the time of one call.

    Attributes:
        lines: Lines, the longest first.
        calls: Number of profiled calls.
        wall_s: Time of a profiled call, to which the lines add up, seconds: by the host's clock on the CPU
            and under proton, from the start of its first kernel to the end of its last on a device, the sum
            of its kernels under ncu, which runs one at a time.
        plain_s: Median wall time of the same call without a profiler, seconds, until the device is idle; None
            under ncu, as are the next three.
        cpu_s: Processor time of all threads of the process during that call, seconds.
        page_faults: Minor page faults during that call.
        threads: Threads that torch may use.
        times_s: Time of the call by several timers, seconds; only on a device.
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
        """Return the share of the wall time of lines of some kinds."""
        if not self.wall_s:
            return 0.0
        return sum(line.self_s for line in self.lines if line.kind in kinds) / self.wall_s

    def host_share(self, tool: str, device: str) -> float | None:
        """Return the share of the wall time spent waiting for the host; None if the tool cannot tell.

        On CUDA this is the time of the gaps between kernels, on the CPU that of Python and the dispatcher.
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
        case: The profiled case.
        tool: One of `TOOLS`.
        status: Outcome.
        environment: The machine, its libraries and the code.
        reason: One-line reason of the status; required unless the status is ok.
        breakdown: Breakdown of the time; None unless requested.
        memory: Breakdown of the peak memory, bytes by part; empty unless requested.
        artifacts: SHA-256 of the stored files, by kind: trace, memory, proton, ncu.
        profiled_at: Time of the profile, ISO 8601 in UTC.
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
            raise ValueError(f"a profile with status {self.status} must have a reason")
