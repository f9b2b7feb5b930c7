"""Faults: what is planted, what must become of it, and the run that shows whether it did."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
SETTINGS = Settings(processes=1, min_time_s=0.05, timeout_s=20.0, max_memory_bytes=2**30)
OTHER_INPUTS = "correct at first, but wrong for other inputs: o is off by"


@dataclass(frozen=True)
class Fault:
    """Something planted, and the row that it must become.

    Attributes:
        name: The implementation of `planted.py` that does it.
        status: How its row must end.
        reason: What its reason must contain; an ok row has none.
        least_s: The least time that an ok row must report.
        device: The kind of device that it needs.
        mode: The mode in which it shows.
        deterministic: Whether an ok row must say that the same inputs gave the same bits.
    """

    name: str
    status: Status
    reason: str | None = None
    least_s: float = 0.0
    device: str = "cpu"
    mode: str = "fwd"
    deterministic: bool = True

    @property
    def implementation(self) -> str:
        """Its full name."""
        return f"planted/{self.name}"

    @property
    def does(self) -> str:
        """What it does, in one line; the plugin must have been loaded."""
        return registry.implementation(self.implementation).summary

    def caught(self, row: Measurement) -> bool:
        """Return whether a row is what the fault must become."""
        if row.status is not self.status:
            return False
        if self.reason is None:
            whole = row.time is not None and row.time.median_s >= self.least_s
            return whole and row.deterministic is self.deterministic
        return row.time is None and self.reason in (row.reason or "")


@dataclass(frozen=True)
class Finding:
    """What became of a fault; without a row it was not run here."""

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
    Fault("hangs", Status.TIMEOUT, "not done within "),
    Fault("late", Status.WRONG, "o "),
    Fault("leaks", Status.WRONG, "keeps 8,192 bytes more alive after each call"),
    Fault("leaves-a-child", Status.OK),
    Fault("leaves-a-thread", Status.OK),
    Fault("mask", Status.WRONG, "o is off by"),
    Fault("mutates", Status.WRONG, "changes its input k"),
    Fault("nan", Status.WRONG, "elements that are NaN or infinite"),
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
    """Yield what becomes of each fault, those of a device and mode after one run, by the way of any other."""
    registry.load([PLANTED])
    devices = ["cpu", "cuda"] if visible_gpus() else ["cpu"]
    for device, mode in product(devices, MODES):
        planted = [fault for fault in faults if (fault.device, fault.mode) == (device, mode)]
        rows = _measured(planted, device, mode) if planted else {}
        left_running = _left_running()
        for fault in planted:
            row = rows[fault.implementation]
            stays = fault.name == "leaves-a-child" and left_running
            yield Finding(fault, row, fault.caught(row) and not stays)
    yield from (Finding(fault, None, False) for fault in faults if fault.device not in devices)


def _measured(faults: Sequence[Fault], device: str, mode: str) -> dict[str, Measurement]:
    """Return the rows of a run over planted implementations, by name."""
    plan = api.plan_run(
        None,
        impl=[fault.implementation for fault in faults],
        device=device,
        plugins=[PLANTED],
        settings=SETTINGS,
        axes=AXES.override(typed_axes(mode=mode)),
    )
    with tempfile.TemporaryDirectory(prefix="linbench-selftest-") as folder:
        run = api.measure(plan, db=str(Path(folder) / "faults.db"))
    return {row.implementation: row for row in run.measurements}


def _left_running() -> bool:
    """Return whether the child that `leaves-a-child` started is still there."""
    nap = str(NAP_S + os.getpid())
    return any(nap in (process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))
