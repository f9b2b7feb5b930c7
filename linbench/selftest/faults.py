"""Faults: planted faults, the row expected from each, and the run that shows whether it is caught."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import psutil

from linbench import api
from linbench.core.case import MODES
from linbench.core.gpu import visible_gpus
from linbench.core.grid import typed_axes
from linbench.core.measurement import Measurement, Status
from linbench.core.plan import Settings
from linbench.core.registry import registry
from linbench.selftest import NAP_S

PLANTED = Path(__file__).with_name("planted.py")
AXES = typed_axes(B=1, T=64, H=2, D=16, dtype="float32")
SETTINGS = Settings(processes=1, min_time_s=0.05, max_time_s=0.05, max_memory_bytes=2**30)
TIMEOUT_S = 900.0  # beyond the slowest machine: a fault shows by its state
HANG_TIMEOUT_S = 5.0
END_S = 60.0
OTHER_INPUTS = "correct at first, but wrong for other inputs: o is off by"


@dataclass(frozen=True)
class Fault:
    """A planted fault, and the row that it must produce.

    Attributes:
        name: Name of the faulty implementation in `planted.py`.
        status: Expected status of its row.
        reason: Text that the reason of its row must contain; None for an ok row.
        least_s: Minimum time that an ok row must report, seconds.
        device: Device that the fault needs.
        mode: Mode in which the fault shows.
        deterministic: Whether an ok row must report bitwise identical results for identical inputs.
        timeout_s: Time limit of the job, seconds: short only for a fault that never ends.
    """

    name: str
    status: Status
    reason: str | None = None
    least_s: float = 0.0
    device: str = "cpu"
    mode: str = "fwd"
    deterministic: bool = True
    timeout_s: float = TIMEOUT_S

    @property
    def implementation(self) -> str:
        """Full name of the faulty implementation."""
        return f"planted/{self.name}"

    @property
    def summary(self) -> str:
        """What the implementation does wrong, in one line; the plugin must be loaded."""
        return registry.implementation(self.implementation).summary

    def caught(self, row: Measurement) -> bool:
        """Return whether a row is the one expected from the fault."""
        if row.status is not self.status:
            return False
        if self.reason is None:
            has_time = row.time is not None and row.time.median_s >= self.least_s
            return has_time and row.deterministic is self.deterministic
        return row.time is None and self.reason in (row.reason or "")


@dataclass(frozen=True)
class Finding:
    """The row of a fault, and whether it is caught; the row is None if the fault cannot run here."""

    fault: Fault
    row: Measurement | None
    caught: bool


FAULTS = (
    Fault("asks-too-much", Status.OOM, "can't allocate memory"),
    Fault("caches", Status.WRONG, OTHER_INPUTS),
    Fault("dies", Status.CRASHED, "exited with code 7"),
    Fault("eats", Status.OOM, "the limit is 1 GiB (--max-memory)"),
    Fault("exits", Status.ERROR, "SystemExit: 0"),
    Fault("garbage", Status.CRASHED, "sent an invalid message: b'not json at all'"),
    Fault("good", Status.OK),
    Fault("half-shape", Status.WRONG, "returned o of shape (1, 32, 2, 16), expected (1, 64, 2, 16)"),
    Fault("hangs", Status.TIMEOUT, "not done within ", timeout_s=HANG_TIMEOUT_S),
    Fault("late", Status.WRONG, "o "),
    Fault("leaks", Status.WRONG, "keeps 8,192 bytes more alive after each call"),
    Fault("leaves-a-child", Status.OK),
    Fault("leaves-a-thread", Status.OK),
    Fault("mask", Status.WRONG, "o is off by"),
    Fault("mutates", Status.WRONG, "changes its input k"),
    Fault("nan", Status.WRONG, "NaN or infinite element"),
    Fault("nothing", Status.WRONG, "returned None for o"),
    Fault("prints", Status.OK, least_s=1e-6),
    Fault("raises", Status.ERROR, "KeyError: 'a line\\nand another'"),
    Fault("refuses", Status.UNSUPPORTED, "not on a Sunday"),
    Fault("reseeds", Status.OK),
    Fault("segfaults", Status.CRASHED, "SIGSEGV (segmentation fault)"),
    Fault("side-stream", Status.WRONG, "o ", device="cuda"),
    Fault("sleeps", Status.OK, least_s=0.005),
    Fault("stale-graph", Status.WRONG, OTHER_INPUTS, device="cuda"),
    Fault("stops-the-clock", Status.WRONG, "leaves the process's clocks changed"),
    Fault("tires", Status.WRONG, "correct at first, but wrong when timed"),
    Fault("unsettles-determinism", Status.WRONG, "leaves the process's deterministic algorithms changed"),
    Fault("unsettles-dtype", Status.WRONG, "leaves the process's default dtype changed"),
    Fault("unsettles-precision", Status.WRONG, "leaves the process's float32 matmul precision changed"),
    Fault("unsettles-threads", Status.WRONG, "leaves the process's number of threads changed"),
    Fault("untouched", Status.OK),
    Fault("view", Status.WRONG, "returns a view of its input v"),
    Fault("wavers", Status.OK, deterministic=False),
    Fault("wrong-gradient", Status.WRONG, "dk is off by 1 (relative L2)", mode="fwd_bwd"),
    Fault("zeros", Status.WRONG, "o is off by 1 (relative L2)"),
)


def find_faults(faults: Sequence[Fault] = FAULTS) -> Iterator[Finding]:
    """Yield a finding per fault; faults with the same device, mode and time limit are measured in one run."""
    registry.load([PLANTED])
    devices = ["cpu", "cuda"] if visible_gpus() else ["cpu"]
    for device, mode, timeout_s in product(devices, MODES, (TIMEOUT_S, HANG_TIMEOUT_S)):
        settings = (device, mode, timeout_s)
        planted = [fault for fault in faults if (fault.device, fault.mode, fault.timeout_s) == settings]
        rows = _measure(planted, *settings) if planted else {}
        for fault in planted:
            row = rows[fault.implementation]
            is_leftover = fault.name == "leaves-a-child" and is_child_left()
            yield Finding(fault, row, fault.caught(row) and not is_leftover)
    yield from (Finding(fault, None, False) for fault in faults if fault.device not in devices)


def _measure(faults: Sequence[Fault], device: str, mode: str, timeout_s: float) -> dict[str, Measurement]:
    """Return the rows of a run over faulty implementations, by name."""
    plan = api.plan_run(
        None,
        impl=[fault.implementation for fault in faults],
        device=device,
        plugins=[PLANTED],
        settings=replace(SETTINGS, timeout_s=timeout_s),
        axes=AXES.override(typed_axes(mode=mode)),
    )
    with tempfile.TemporaryDirectory(prefix="linbench-selftest-") as folder:
        run = api.measure(plan, db=str(Path(folder) / "faults.db"))
    return {row.implementation: row for row in run.measurements}


def is_child_left() -> bool:
    """Return whether the child process that `leaves-a-child` started stays, after the worker has ended.

    It has received SIGKILL by then, but a busy machine may take a while to end it.
    """
    duration = str(NAP_S + os.getpid())
    deadline = time.monotonic() + END_S
    while any(process.info["cmdline"] == ["sleep", duration] for process in psutil.process_iter(["cmdline"])):
        if time.monotonic() > deadline:
            return True
        time.sleep(0.05)
    return False
