"""Machine: how finely times can be told apart here, as the harness finds with the same code on two sides."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median

from linbench import api
from linbench.core.errors import EnvironmentRefused
from linbench.core.grid import typed_axes
from linbench.core.measurement import Measurement, Status, Time
from linbench.core.plan import Settings
from linbench.core.telemetry import Range
from linbench.core.timer import DEFAULT_TIMER
from linbench.execution.schedule import DEFAULT_PROCESSES, Schedule
from linbench.measure.timers import overhead, timer_for
from linbench.selftest import noise
from linbench.selftest.noise import Pair

AA_TEST = Path(__file__).with_name("aa_test.py")
SIDES = ("aa_test/one", "aa_test/other")
AXES = {
    "cpu": typed_axes(B=1, T=512, H=4, D=64, dtype="float32", mode="fwd"),
    "cuda": typed_axes(B=1, T=2048, H=8, D=64, dtype="float32", mode="fwd"),
}
LEAST_RUNS = 2
COMPARED = 10  # processes of the comparison that the verdict goes by
MORE_COMPARED = 20

# What numbers must be to be worth publishing; `verdict` goes by these alone.
FINE_EFFECT = 0.02  # the minimum detectable effect seen, at most
FAIR_EFFECT = 0.05  # the same with care; above it, not at all
COVERAGE = (0.92, 0.98)  # of an interval that says 95%
CONTENDED_SHARE = 0.5  # of the rows flagged contended, at most


@dataclass(frozen=True)
class Machine:
    """What measuring the same code twice says of a machine.

    Attributes:
        device: cpu or cuda.
        timer: The device's default timer.
        overhead_s: What it reads where nothing is called, seconds.
        resolution_s: The least difference between two such readings, seconds; 0 if none differ.
        case: What was measured, in words.
        call_s: How long one call takes: the median over all processes, seconds.
        wall_s: How long the test took, seconds.
        runs: Runs of the harness, one after another.
        processes: Fresh processes in each, as many as a row of `linbench run` takes.
        drift: How far the run with the greatest median lies above that with the least, relative.
        difference: How much longer one side takes than the other, and its paired 95% interval, relative.
        noise: Standard deviation of a process's log-ratio of the sides, and its 95% interval.
        effects: The minimum detectable effect with 95% power at 5% false alarms, relative, by the number of
            processes; see `linbench.selftest.noise.minimum_detectable_effect`.
        paired_alarms: How often a row's processes would call identical code different by the paired interval,
            resampled.
        apart_alarms: The same where two rows' intervals do not overlap, as the report has it.
        coverage: How often the 95% interval of a row would cover the long-run value, resampled.
        rows: Rows that were measured.
        rows_covering: How many of them cover the long-run value.
        rows_contended: How many of them were flagged contended.
        throttled: Whether any was flagged throttled.
        cores: Processors that may be used.
        others_cores: Processors that other processes or the hypervisor's other guests used meanwhile.
    """

    device: str
    timer: str
    overhead_s: float
    resolution_s: float
    case: str
    call_s: float
    wall_s: float
    runs: int
    processes: int
    drift: float
    difference: tuple[float, float, float]
    noise: tuple[float, float, float]
    effects: dict[int, float]
    paired_alarms: float
    apart_alarms: float
    coverage: float
    rows: int
    rows_covering: int
    rows_contended: int
    throttled: bool
    cores: int
    others_cores: float


def measure_machine(device: str, time_limit_s: float, processes: int | None = None) -> Machine:
    """Return what identical code measured as two implementations says of this machine.

    Runs of the harness follow each other until a further one would not be done within the tolerance, two at
    least: fresh processes each time, in each of them both sides in turns in random order. No row is given
    fewer processes or rounds for being steady; all else is as in `linbench run`.

    Args:
        device: cpu or cuda.
        time_limit_s: How long it may take, seconds.
        processes: Processes of a row; the device's default if not given.

    Raises:
        EnvironmentRefused: The device is not there or in use, or the code could not be measured on it.
    """
    start = time.monotonic()
    settings = Settings(processes=processes or DEFAULT_PROCESSES[device], precision=0.0)
    schedule = api.plan_run(
        None, impl=SIDES, device=device, plugins=[AA_TEST], settings=settings, axes=AXES[device]
    )
    gpus = api.check_device(device)
    runs: list[list[Measurement]] = []
    longest_s = 0.0
    while len(runs) < LEAST_RUNS or time.monotonic() - start + longest_s < time_limit_s:
        began = time.monotonic()
        runs.append(_rows(schedule))
        longest_s = max(longest_s, time.monotonic() - began)
    reading = _timer_reading(device, gpus)
    return described(runs, reading, time.monotonic() - start, len(os.sched_getaffinity(0)))


def described(
    runs: Sequence[Sequence[Measurement]], reading: tuple[float, float], wall_s: float, cores: int
) -> Machine:
    """Return what the rows of runs over both sides say.

    Args:
        runs: The rows of each run, ok and of as many processes each.
        reading: Overhead and resolution of the timer, seconds.
        wall_s: How long the test took, seconds.
        cores: Processors that may be used.
    """
    rows = list(chain.from_iterable(runs))
    times = [row.time for row in rows if row.time is not None]
    by_run = [_pairs(run) for run in runs]
    pairs = list(chain.from_iterable(by_run))
    medians = list(chain.from_iterable(pairs))
    call_s = median(medians)
    run_medians_s = [median(chain.from_iterable(found)) for found in by_run]
    processes = len(by_run[0])
    found = noise.pair_noise(pairs)
    compared = sorted({processes, COMPARED, MORE_COMPARED})
    during = [row.telemetry.during for row in rows]
    return Machine(
        device=rows[0].case.device,
        timer=times[0].timer,
        overhead_s=reading[0],
        resolution_s=reading[1],
        case=str(rows[0].case),
        call_s=call_s,
        wall_s=wall_s,
        runs=len(runs),
        processes=processes,
        drift=max(run_medians_s) / min(run_medians_s) - 1,
        difference=noise.difference(pairs),
        noise=found,
        effects={n: noise.minimum_detectable_effect(found[0], n) for n in compared},
        paired_alarms=noise.paired_alarms(pairs, processes),
        apart_alarms=noise.apart_alarms(pairs, processes),
        coverage=noise.coverage(medians, processes),
        rows=len(rows),
        rows_covering=sum(time.ci_low_s <= call_s <= time.ci_high_s for time in times),
        rows_contended=sum("contended" in row.flags for row in rows),
        throttled=any("throttled" in row.flags for row in rows),
        cores=cores,
        others_cores=fmean(
            _middle(found, "others_cores") + _middle(found, "steal_cores") for found in during
        ),
    )


def verdict(machine: Machine) -> tuple[str, str]:
    """Return whether numbers from a machine are worth publishing (yes, with care or no), and why.

    By the thresholds at the head of this file.
    """
    effect = machine.effects[COMPARED]
    doubts = []
    if not COVERAGE[0] <= machine.coverage <= COVERAGE[1]:
        doubts.append(f"95% intervals hold the long-run value in {machine.coverage:.1%}")
    if machine.rows_contended > CONTENDED_SHARE * machine.rows:
        doubts.append(f"others used {machine.others_cores:.2g} of {machine.cores} processors")
    if machine.throttled:
        doubts.append("clocks were held down")
    if effect > FAIR_EFFECT:
        word = "no"
    elif effect > FINE_EFFECT or doubts:
        word = "with care"
    else:
        word = "yes"
    limit = FAIR_EFFECT if word == "no" else FINE_EFFECT
    relation = "more than" if effect > limit else "within"
    reasons = [f"{COMPARED} processes tell {effect:.1%} apart, {relation} {limit:.0%}", *doubts]
    return word, "; ".join(reasons)


class Nothing:
    """A call that does nothing."""

    input_bytes = 0
    advances = False

    def prepare(self) -> None:
        """Do nothing."""

    def __call__(self) -> None:
        """Do nothing."""

    def rotated(self, n: int) -> list[Nothing]:
        """Return n such calls."""
        return [Nothing()] * n

    def spoil(self, returned: object) -> None:
        """Do nothing."""


def _rows(schedule: Schedule) -> list[Measurement]:
    """Return the rows of a run, with their samples."""
    rows: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="linbench-selftest-") as folder:
        api.measure(schedule, db=str(Path(folder) / "machine.db"), on_rows=rows.extend)
    for row in rows:
        if row.status is not Status.OK:
            raise EnvironmentRefused(
                f"{row.implementation} could not be measured: {row.status}: {row.reason}"
            )
    return rows


def _pairs(rows: Sequence[Measurement]) -> list[Pair]:
    """Return the medians of both sides in each process, seconds."""
    one, other = (_medians(row.time) for name in SIDES for row in rows if row.implementation == name)
    return list(zip(one, other, strict=True))


def _medians(time: Time | None) -> list[float]:
    if time is None:
        raise ValueError("an ok row that was timed has a time")
    ends = accumulate(time.processes, initial=0)
    return [median(time.samples.time_s[start:end]) for start, end in pairwise(ends)]


def _middle(during: Mapping[str, Range], name: str) -> float:
    """Return the middle of what was read during a row, 0 where it was not."""
    return during[name].middle if name in during else 0.0


def _timer_reading(device: str, gpus: Sequence[str]) -> tuple[float, float]:
    """Return the overhead and the resolution of a device's default timer in a fresh process, seconds."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(_read_timer, device, gpus).result()


def _read_timer(device: str, gpus: Sequence[str]) -> tuple[float, float]:
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[0]
    return overhead(timer_for(DEFAULT_TIMER[device], device), Nothing())
