"""Machine: which time differences this machine can resolve, measured with identical code on both sides."""

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
COMPARED = 10  # processes of the comparison that `verdict` uses
MORE_COMPARED = 20

# When numbers are worth publishing; `verdict` uses only these thresholds.
FINE_EFFECT = 0.02  # largest minimum detectable effect for "yes"
FAIR_EFFECT = 0.05  # largest one for "with care"
COVERAGE = (0.92, 0.98)  # range of the coverage of a 95% interval
CONTENDED_SHARE = 0.5  # largest share of rows flagged contended


@dataclass(frozen=True)
class Machine:
    """What an A/A test shows about a machine.

    Attributes:
        device: cpu or cuda.
        timer: The device's default timer.
        overhead_s: Reading of the timer around an empty call, seconds.
        resolution_s: Smallest difference between two such readings, seconds; 0 if none differ.
        case: The measured case, in words.
        call_s: Duration of a call: the median over all processes, seconds.
        wall_s: Duration of the test, seconds.
        runs: Consecutive runs of the harness.
        processes: Fresh processes per run, as many as for a row of `linbench run`.
        drift: Relative difference between the largest and the smallest median of the runs.
        difference: Relative time difference of the sides, and the ends of its paired 95% interval.
        noise: Standard deviation of a process's log-ratio of the sides, and the ends of its 95% interval.
        effects: Relative minimum detectable effect with 95% power at a 5% false-positive rate, by the number
            of processes; see `linbench.selftest.noise.minimum_detectable_effect`.
        paired_alarms: False-positive rate of the paired interval with the processes of a row, by resampling.
        apart_alarms: False-positive rate of the report's rule, intervals of two rows that do not overlap.
        coverage: Share of 95% intervals of a row that cover the long-run value, by resampling.
        rows: Number of measured rows.
        rows_covering: Rows whose interval covers the long-run value.
        rows_contended: Rows that were flagged contended.
        throttled: Whether any row was flagged throttled.
        cores: Processors that this process may use.
        others_cores: Processors in use by other processes or other guests of the hypervisor during the test.
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
    """Return the result of an A/A test: identical code measured as two implementations.

    The harness runs at least twice, and again until a further run would exceed the time limit. Each run uses
    fresh processes, and in each process the sides take turns in random order. Early stopping is off: every
    row has all its processes and rounds. Everything else is as in `linbench run`.

    Args:
        device: cpu or cuda.
        time_limit_s: Time limit, seconds.
        processes: Processes per row; None for the device's default.

    Raises:
        EnvironmentRefused: The device is missing or in use, or the code could not be measured on it.
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
        run_start = time.monotonic()
        runs.append(_rows(schedule))
        longest_s = max(longest_s, time.monotonic() - run_start)
    reading = _timer_reading(device, gpus)
    return summarize(runs, reading, time.monotonic() - start, len(os.sched_getaffinity(0)))


def summarize(
    runs: Sequence[Sequence[Measurement]], reading: tuple[float, float], wall_s: float, cores: int
) -> Machine:
    """Return the summary of runs that measured both sides.

    Args:
        runs: The rows of each run; all are ok and have the same number of processes.
        reading: Overhead and resolution of the timer, seconds.
        wall_s: Duration of the test, seconds.
        cores: Processors that this process may use.
    """
    rows = list(chain.from_iterable(runs))
    times = [row.time for row in rows if row.time is not None]
    by_run = [_pairs(run) for run in runs]
    pairs = list(chain.from_iterable(by_run))
    medians = list(chain.from_iterable(pairs))
    call_s = median(medians)
    run_medians_s = [median(chain.from_iterable(run_pairs)) for run_pairs in by_run]
    processes = len(by_run[0])
    pair_noise = noise.pair_noise(pairs)
    counts = sorted({processes, COMPARED, MORE_COMPARED})
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
        noise=pair_noise,
        effects={n: noise.minimum_detectable_effect(pair_noise[0], n) for n in counts},
        paired_alarms=noise.paired_alarms(pairs, processes),
        apart_alarms=noise.apart_alarms(pairs, processes),
        coverage=noise.coverage(medians, processes),
        rows=len(rows),
        rows_covering=sum(time.ci_low_s <= call_s <= time.ci_high_s for time in times),
        rows_contended=sum("contended" in row.flags for row in rows),
        throttled=any("throttled" in row.flags for row in rows),
        cores=cores,
        others_cores=fmean(
            _middle(row.telemetry.during, "others_cores") + _middle(row.telemetry.during, "steal_cores")
            for row in rows
        ),
    )


def verdict(machine: Machine) -> tuple[str, str]:
    """Return whether numbers from a machine are worth publishing (yes, with care or no), and why.

    The thresholds are the constants at the top of this file.
    """
    effect = machine.effects[COMPARED]
    doubts = []
    if not COVERAGE[0] <= machine.coverage <= COVERAGE[1]:
        doubts.append(f"95% intervals cover the long-run value in {machine.coverage:.1%} of cases")
    if machine.rows_contended > CONTENDED_SHARE * machine.rows:
        doubts.append(f"other processes used {machine.others_cores:.2g} of {machine.cores} processors")
    if machine.throttled:
        doubts.append("clocks were throttled")
    if effect > FAIR_EFFECT:
        word = "no"
    elif effect > FINE_EFFECT or doubts:
        word = "with care"
    else:
        word = "yes"
    limit = FAIR_EFFECT if word == "no" else FINE_EFFECT
    relation = "more than" if effect > limit else "within"
    reasons = [f"{COMPARED} processes detect a difference of {effect:.1%}, {relation} {limit:.0%}", *doubts]
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
    a, b = (_medians(row.time) for name in SIDES for row in rows if row.implementation == name)
    return list(zip(a, b, strict=True))


def _medians(time: Time | None) -> list[float]:
    if time is None:
        raise ValueError("an ok row must have a time")
    ends = accumulate(time.processes, initial=0)
    return [median(time.samples.time_s[start:end]) for start, end in pairwise(ends)]


def _middle(during: Mapping[str, Range], name: str) -> float:
    """Return the median of the readings during a row; 0 if there are none."""
    return during[name].middle if name in during else 0.0


def _timer_reading(device: str, gpus: Sequence[str]) -> tuple[float, float]:
    """Return the overhead and the resolution of a device's default timer in a fresh process, seconds."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(_read_timer, device, gpus).result()


def _read_timer(device: str, gpus: Sequence[str]) -> tuple[float, float]:
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[0]
    return overhead(timer_for(DEFAULT_TIMER[device], device), Nothing())
