"""Slowdowns: injected slowdowns of known size, and how often `linbench compare` detects them."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Final

from linbench import api
from linbench.compare.turns import Comparison, FullCheckResult, Rounds, SideFailed, Turns
from linbench.core.errors import EnvironmentRefused
from linbench.core.gpu import visible_gpus
from linbench.core.grid import typed_axes
from linbench.core.measurement import Status
from linbench.execution.lock import exclusive
from linbench.execution.process import Launch
from linbench.execution.resident import safe_memory_bytes
from linbench.selftest import EXTRA_CHUNKS
from linbench.statistics.decision import (
    CONFIRM,
    LOOKS,
    SCREEN,
    Answer,
    Decision,
    judge,
    judge_all,
    worth_confirming,
)
from linbench.statistics.paired import Paired, interval, paired

PLUGIN: Final = Path(__file__).with_name("injected_slowdowns.py")
AXES: Final = typed_axes(B=1, T=3200, H=2, D=64, dtype="float32", mode="fwd")
PROCESSES: Final = 28
MORE_AA_PROCESSES: Final = 12  # 40 in all: the false-positive rate is the smallest share to estimate
LEAST_PROCESSES: Final = 16  # fewer are too small a sample to resample from
DRAWS: Final = 500
CASES: Final = 300


@dataclass(frozen=True)
class Process:
    """One process that timed the product without and with extra chunks.

    Attributes:
        log_ratios: log(B / A) of each round.
        a_s: Time of one call of A in each turn, seconds.
        b_s: Time of one call of B in each turn, seconds.
        wall_s: Duration of the process, seconds.
    """

    log_ratios: Sequence[float]
    a_s: Sequence[float]
    b_s: Sequence[float]
    wall_s: float


@dataclass(frozen=True)
class Recording:
    """The processes of all slowdowns.

    Attributes:
        device: cpu or cuda.
        case: The measured case, in words.
        slowdowns: The processes of each slowdown, in the order of `EXTRA_CHUNKS`.
        wall_s: Duration of the recording, seconds.
        load: Load average of one minute at the start and the end of the recording.
    """

    device: str
    case: str
    slowdowns: Sequence[Sequence[Process]]
    wall_s: float
    load: tuple[float, float]


@dataclass(frozen=True)
class Slowdown:
    """How often comparisons detect one slowdown.

    Attributes:
        extra: The injected slowdown, relative.
        processes: Number of fresh processes that measured it.
        effect: The slowdown measured by all processes together, relative, and the ends of its 95% interval.
        slower: Share of the resampled comparisons that call B slower.
        different: Share of the resampled comparisons that call B slower or faster.
        wall_s: Duration of a comparison, the median over the resampled ones, seconds.
    """

    extra: float
    processes: int
    effect: tuple[float, float, float]
    slower: float
    different: float
    wall_s: float


@dataclass(frozen=True)
class SlowdownReport:
    """Which slowdowns comparisons detect on this machine.

    Attributes:
        device: cpu or cuda.
        case: The measured case, in words.
        call_s: Duration of a call of A: the median over processes, seconds.
        wall_s: Duration of the recording, seconds.
        load: Load average of one minute at the start and the end of the recording.
        slowdowns: Results per slowdown, in ascending order of size.
        cases: Number of A/A cases, resampled from the processes of the slowdown of 0%.
        flags_alone: How many of them are called different when each is judged alone.
        flags_suite: How many are called different when they are screened and confirmed as a suite.
        coverage: Share of 95% intervals of 10 processes that cover the effect of all processes of a slowdown.
        draws: Number of resampled comparisons per share.
    """

    device: str
    case: str
    call_s: float
    wall_s: float
    load: tuple[float, float]
    slowdowns: tuple[Slowdown, ...]
    cases: int
    flags_alone: int
    flags_suite: int
    coverage: float
    draws: int


def measure_slowdowns(
    device: str, time_limit_s: float, note: Callable[[int], None] = lambda _: None
) -> Recording:
    """Record processes of slowdowns of 0, 1, 2, 3, 5 and 10% on this machine.

    Args:
        device: cpu or cuda.
        time_limit_s: Time limit, seconds.
        note: Progress callback; receives the number of processes of each slowdown after every lap.

    Raises:
        EnvironmentRefused: The device is missing or in use, or the time limit was too short for 16 processes
            of each slowdown.
    """
    start = time.monotonic()
    load = os.getloadavg()[0]
    comparisons = _comparisons(device)
    slowdowns: list[list[Process]] = [[] for _ in comparisons]
    for lap in _record(device, comparisons, start + time_limit_s):
        for index, process in lap:
            slowdowns[index].append(process)
        note(len(slowdowns[-1]))
    if len(slowdowns[-1]) < LEAST_PROCESSES:
        raise EnvironmentRefused(
            f"only {len(slowdowns[-1])} processes of each slowdown were measured in {time_limit_s:.0f} s, "
            f"but {LEAST_PROCESSES} are needed; increase --time-limit"
        )
    return Recording(
        device,
        str(comparisons[0].a.case),
        slowdowns,
        time.monotonic() - start,
        (load, os.getloadavg()[0]),
    )


def summarize(recording: Recording, draws: int = DRAWS) -> SlowdownReport:
    """Return how often comparisons of recorded processes detect each slowdown.

    Each comparison resamples the processes of a slowdown, with replacement, and judges after 10, 14, 20 and
    28 of them.
    """
    source = random.Random(0)
    aa_pairs = [paired(process.log_ratios) for process in recording.slowdowns[0]]
    slowdowns = [
        _slowdown(extra, processes, source, draws)
        for extra, processes in zip(EXTRA_CHUNKS, recording.slowdowns, strict=True)
    ]
    return SlowdownReport(
        device=recording.device,
        case=recording.case,
        call_s=median(median(process.a_s) for process in recording.slowdowns[0]),
        wall_s=recording.wall_s,
        load=recording.load,
        slowdowns=tuple(slowdowns),
        cases=CASES,
        flags_alone=sum(_differs(_decide(_resample(aa_pairs, source, LOOKS[-1]))) for _ in range(CASES)),
        flags_suite=_suite_flags(aa_pairs, source),
        coverage=_coverage(recording.slowdowns, source, draws),
        draws=draws,
    )


def _comparisons(device: str) -> list[Comparison]:
    """Return the comparison for each slowdown: the product without and with extra chunks."""
    names = ["injected_slowdowns/base", *(f"injected_slowdowns/plus_{number}" for number in EXTRA_CHUNKS)]
    plan = api.plan_run(None, impl=names, device=device, plugins=[PLUGIN], axes=AXES)
    jobs = {job.implementation: job for job in plan.jobs}
    return [Comparison(jobs[names[0]], jobs[name]) for name in names[1:]]


def _record(
    device: str, comparisons: Sequence[Comparison], deadline: float
) -> Iterator[list[tuple[int, Process]]]:
    """Yield laps: one process of every slowdown, with its index, so that drift affects all slowdowns equally.

    The first laps have two processes of the same code.
    """
    uuids = api.check_device(device)
    variables = {"CUDA_VISIBLE_DEVICES": visible_gpus()[0].uuid} if device == "cuda" else {}
    launch = Launch((str(PLUGIN),), safe_memory_bytes(), variables=variables)
    settings = api.plan_run(
        None, impl="injected_slowdowns/base", device=device, plugins=[PLUGIN], axes=AXES
    ).plan.settings
    longest_s = 0.0
    with exclusive(uuids), Turns([launch], device, settings) as turns:
        try:
            sources = [_processes(turns, comparison) for comparison in comparisons]
            for lap in range(PROCESSES):
                lap_start = time.monotonic()
                order = [*range(len(sources)), *([0] if lap < MORE_AA_PROCESSES else [])]
                yield [(index, next(sources[index])) for index in order]
                longest_s = max(longest_s, time.monotonic() - lap_start)
                if time.monotonic() + longest_s > deadline:
                    return
        except SideFailed as failure:
            raise EnvironmentRefused(
                f"the product could not be measured: {failure.status}: {failure.reason}"
            ) from None


def _processes(turns: Turns, comparison: Comparison) -> Iterator[Process]:
    """Check both sides of a comparison, and return an iterator over its processes."""
    full_checks = turns.full_check(comparison)
    for side, full_check in enumerate(full_checks):
        if full_check.status is not Status.OK:
            raise SideFailed(side, full_check.status, full_check.reason or "")
    return _timed_processes(turns, comparison, full_checks)


def _timed_processes(
    turns: Turns, comparison: Comparison, full_checks: tuple[FullCheckResult, FullCheckResult]
) -> Iterator[Process]:
    start = time.monotonic()
    for rounds in turns.processes(comparison, full_checks):
        yield _process(rounds, time.monotonic() - start)
        start = time.monotonic()


def _process(rounds: Rounds, wall_s: float) -> Process:
    return Process(tuple(rounds.log_ratios), tuple(rounds.a_s), tuple(rounds.b_s), wall_s)


def _slowdown(extra: int, processes: Sequence[Process], source: random.Random, draws: int) -> Slowdown:
    pairs = {id(process): paired(process.log_ratios) for process in processes}
    decisions, walls_s = [], []
    for _ in range(draws):
        sample = source.choices(processes, k=LOOKS[-1])
        decision = _decide([pairs[id(process)] for process in sample])
        decisions.append(decision)
        walls_s.append(sum(process.wall_s for process in sample[: decision.processes]))
    return Slowdown(
        extra=extra / 100,
        processes=len(processes),
        effect=interval(list(pairs.values())),
        slower=fmean(decision.answer is Answer.SLOWER for decision in decisions),
        different=fmean(map(_differs, decisions)),
        wall_s=median(walls_s),
    )


def _decide(pairs: Sequence[Paired]) -> Decision:
    """Return the decision at the last look."""
    for look in LOOKS:
        decision = judge(pairs[:look])
        if decision.answer is not Answer.UNDECIDED:
            break
    return decision


def _differs(decision: Decision) -> bool:
    return decision.answer in (Answer.SLOWER, Answer.FASTER)


def _resample(pairs: Sequence[Paired], source: random.Random, count: int) -> list[Paired]:
    return source.choices(pairs, k=count)


def _suite_flags(aa_pairs: Sequence[Paired], source: random.Random) -> int:
    """Return how many of 300 A/A cases are called different after screening and confirmation."""
    candidates = sum(worth_confirming(_resample(aa_pairs, source, SCREEN)) for _ in range(CASES))
    cases = [_resample(aa_pairs, source, CONFIRM) for _ in range(candidates)]
    return sum(map(_differs, judge_all(cases)))


def _coverage(slowdowns: Sequence[Sequence[Process]], source: random.Random, draws: int) -> float:
    """Return how often an interval of 10 processes covers the effect of all processes of its slowdown."""
    hits = []
    for processes in slowdowns:
        pairs = [paired(process.log_ratios) for process in processes]
        truth = interval(pairs)[0]
        for _ in range(draws):
            _, low, high = interval(_resample(pairs, source, LOOKS[0]))
            hits.append(low <= truth <= high)
    return fmean(hits)
