"""Slowdowns: injected ones of known size measured in pairs, and how often `linbench compare` finds them."""

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
MORE_OF_THE_SAME: Final = 12  # 40 in all, for the figure that must be the smallest
LEAST_PROCESSES: Final = 16  # fewer say too little of the processes that could have been
DRAWS: Final = 500
CASES: Final = 300


@dataclass(frozen=True)
class Process:
    """One process that timed the product with and without extra chunks.

    Attributes:
        log_ratios: log(B / A) of each round.
        a_s: Time of one call of A in each turn, seconds.
        b_s: The same of B.
        wall_s: How long the process took, seconds.
    """

    log_ratios: Sequence[float]
    a_s: Sequence[float]
    b_s: Sequence[float]
    wall_s: float


@dataclass(frozen=True)
class Recording:
    """The processes of every slowdown.

    Attributes:
        device: cpu or cuda.
        case: What was measured, in words.
        slowdowns: The processes of each slowdown, in the order of `EXTRA_CHUNKS`.
        wall_s: How long it took to record, seconds.
        load: Of the machine when the recording began and ended, over a minute.
    """

    device: str
    case: str
    slowdowns: Sequence[Sequence[Process]]
    wall_s: float
    load: tuple[float, float]


@dataclass(frozen=True)
class Slowdown:
    """One slowdown.

    Attributes:
        extra: Injected, relative.
        processes: Fresh processes that measured it.
        effect: What they measured, all together, relative; with the ends of its 95% interval.
        slower: How often B is called slower, over draws.
        different: How often B is called slower or faster.
        wall_s: How long a comparison takes, the median over draws, seconds.
    """

    extra: float
    processes: int
    effect: tuple[float, float, float]
    slower: float
    different: float
    wall_s: float


@dataclass(frozen=True)
class SlowdownReport:
    """What this machine tells apart.

    Attributes:
        device: cpu or cuda.
        case: What was measured, in words.
        call_s: How long a call of A takes: the median over processes, seconds.
        wall_s: How long it took to record, seconds.
        load: Of the machine when the recording began and ended, over a minute.
        slowdowns: By their size.
        cases: Of the same code, drawn from the processes of the first slowdown.
        flags_alone: How many of them are called different, each looked at alone.
        flags_suite: How many are called different when they are screened and confirmed as a suite.
        coverage: How often the 95% interval of 10 processes holds the effect that all processes of a slowdown
            have together.
        draws: Comparisons that were drawn for each share.
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
    """Return processes of slowdowns of 0, 1, 2, 3, 5 and 10% on this machine.

    Args:
        device: cpu or cuda.
        time_limit_s: How long to record at most, seconds.
        note: Called with the number of processes of each slowdown whenever all have one more.

    Raises:
        EnvironmentRefused: The device is not there or in use, or the time was too short for 16 processes of
            each slowdown.
    """
    start = time.monotonic()
    load = os.getloadavg()[0]
    comparisons = _comparisons(device)
    recorded: list[list[Process]] = [[] for _ in comparisons]
    for taken in _recorded(device, comparisons, start + time_limit_s):
        for number, process in taken:
            recorded[number].append(process)
        note(len(recorded[-1]))
    if len(recorded[-1]) < LEAST_PROCESSES:
        raise EnvironmentRefused(
            f"{len(recorded[-1])} processes of each slowdown were measured in {time_limit_s:.0f} s, and "
            f"{LEAST_PROCESSES} are needed; give it more with --time-limit"
        )
    return Recording(
        device,
        str(comparisons[0].a.case),
        recorded,
        time.monotonic() - start,
        (load, os.getloadavg()[0]),
    )


def described(recording: Recording, draws: int = DRAWS) -> SlowdownReport:
    """Return what comparisons make of recorded processes.

    Each draws its processes from those of a slowdown, with replacement, and looks after 10, 14, 20 and 28.
    """
    source = random.Random(0)
    same = [paired(process.log_ratios) for process in recording.slowdowns[0]]
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
        flags_alone=sum(_differs(_looked(_drawn(same, source, LOOKS[-1]))) for _ in range(CASES)),
        flags_suite=_suite_flags(same, source),
        coverage=_coverage(recording.slowdowns, source, draws),
        draws=draws,
    )


def _comparisons(device: str) -> list[Comparison]:
    """Return the comparison of each slowdown: the product, and it with extra chunks."""
    names = ["injected_slowdowns/base", *(f"injected_slowdowns/plus_{number}" for number in EXTRA_CHUNKS)]
    plan = api.plan_run(None, impl=names, device=device, plugins=[PLUGIN], axes=AXES)
    jobs = {job.implementation: job for job in plan.jobs}
    return [Comparison(jobs[names[0]], jobs[name]) for name in names[1:]]


def _recorded(
    device: str, comparisons: Sequence[Comparison], until: float
) -> Iterator[list[tuple[int, Process]]]:
    """Yield a process of every slowdown with its number, one after another, so that drift meets all alike.

    At first there are two of the same code each time.
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
                began = time.monotonic()
                order = [*range(len(sources)), *([0] if lap < MORE_OF_THE_SAME else [])]
                yield [(number, next(sources[number])) for number in order]
                longest_s = max(longest_s, time.monotonic() - began)
                if time.monotonic() + longest_s > until:
                    return
        except SideFailed as ended:
            raise EnvironmentRefused(
                f"the product could not be measured: {ended.status}: {ended.reason}"
            ) from None


def _processes(turns: Turns, comparison: Comparison) -> Iterator[Process]:
    """Return the processes of a comparison whose sides have been checked."""
    full_checks = turns.full_check(comparison)
    for side, found in enumerate(full_checks):
        if found.status is not Status.OK:
            raise SideFailed(side, found.status, found.reason or "")
    return _fresh(turns, comparison, full_checks)


def _fresh(
    turns: Turns, comparison: Comparison, full_checks: tuple[FullCheckResult, FullCheckResult]
) -> Iterator[Process]:
    began = time.monotonic()
    for rounds in turns.processes(comparison, full_checks):
        yield _process(rounds, time.monotonic() - began)
        began = time.monotonic()


def _process(rounds: Rounds, wall_s: float) -> Process:
    return Process(tuple(rounds.log_ratios), tuple(rounds.a_s), tuple(rounds.b_s), wall_s)


def _slowdown(extra: int, recorded: Sequence[Process], source: random.Random, draws: int) -> Slowdown:
    pairs = {id(process): paired(process.log_ratios) for process in recorded}
    decisions, walls_s = [], []
    for _ in range(draws):
        drawn = source.choices(recorded, k=LOOKS[-1])
        decision = _looked([pairs[id(process)] for process in drawn])
        decisions.append(decision)
        walls_s.append(sum(process.wall_s for process in drawn[: decision.processes]))
    return Slowdown(
        extra=extra / 100,
        processes=len(recorded),
        effect=interval(list(pairs.values())),
        slower=fmean(decision.answer is Answer.SLOWER for decision in decisions),
        different=fmean(map(_differs, decisions)),
        wall_s=median(walls_s),
    )


def _looked(pairs: Sequence[Paired]) -> Decision:
    """Return the decision where the looks end."""
    for look in LOOKS:
        decision = judge(pairs[:look])
        if decision.answer is not Answer.UNDECIDED:
            break
    return decision


def _differs(decision: Decision) -> bool:
    return decision.answer in (Answer.SLOWER, Answer.FASTER)


def _drawn(pairs: Sequence[Paired], source: random.Random, number: int) -> list[Paired]:
    return source.choices(pairs, k=number)


def _suite_flags(same: Sequence[Paired], source: random.Random) -> int:
    """Return how many of 300 cases of the same code are called different: screened, then confirmed afresh."""
    kept = sum(worth_confirming(_drawn(same, source, SCREEN)) for _ in range(CASES))
    return sum(map(_differs, judge_all([_drawn(same, source, CONFIRM) for _ in range(kept)])))


def _coverage(recorded: Sequence[Sequence[Process]], source: random.Random, draws: int) -> float:
    """Return how often an interval of 10 processes holds what all processes of its slowdown have together."""
    held = []
    for found in recorded:
        pairs = [paired(process.log_ratios) for process in found]
        truth = interval(pairs)[0]
        for _ in range(draws):
            _, low, high = interval(_drawn(pairs, source, LOOKS[0]))
            held.append(low <= truth <= high)
    return fmean(held)
