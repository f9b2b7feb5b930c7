"""Suite: the decision on every case: few cases get repeated looks, many are screened and then confirmed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from statistics import median
from typing import Final

from linbench.compare.change import has_changed, is_clock
from linbench.compare.turns import Comparison, FullCheckResult, Rounds, SideFailed, Turns, log_mean
from linbench.core.measurement import FAILURES, Status
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

FEW_CASES: Final = 3
ERROR_ROUNDING: Final = 0.01
MEMORY_ROUNDING: Final = {"allocator": 1e-3, "rss": 0.05}
MEMORY_FLOOR_BYTES: Final = {"allocator": 64, "rss": 2**21}

Observer = Callable[[Comparison, str], None]


@dataclass(frozen=True)
class ComparisonResult:
    """The result of B against A at a case.

    Attributes:
        comparison: What was compared.
        a: Full check of A.
        b: Full check of B.
        decision: Decision on time; None if a side is not ok.
        a_s: Time of one call of A: the median of the processes' medians, seconds; None if not timed.
        b_s: Time of one call of B, likewise.
        processes: Rounds of every process that the decision is based on.
    """

    comparison: Comparison
    a: FullCheckResult
    b: FullCheckResult
    decision: Decision | None = None
    a_s: float | None = None
    b_s: float | None = None
    processes: tuple[Rounds, ...] = field(default=(), repr=False)

    @property
    def answer(self) -> str:
        """Slower, faster, same or undecided; or the status of the first side that is not ok."""
        if self.decision is not None:
            return str(self.decision.answer)
        return str(self.a.status if self.a.status is not Status.OK else self.b.status)

    @property
    def memory_change_bytes(self) -> int:
        """Difference of B to A in memory above the inputs; 0 if it is rounding, or unknown."""
        a, b = self.a.memory, self.b.memory
        if a is None or b is None or a.meter != b.meter:
            return 0
        change = b.extra_bytes - a.extra_bytes
        significant = has_changed(a.extra_bytes, b.extra_bytes, MEMORY_ROUNDING[a.meter])
        return change if significant and abs(change) > MEMORY_FLOOR_BYTES[a.meter] else 0

    @property
    def changed_errors(self) -> dict[str, tuple[float, float]]:
        """Relative L2 error in A and B of each tensor whose error changed beyond rounding."""
        shared = self.a.errors.keys() & self.b.errors.keys()
        pairs = {name: (self.a.errors[name], self.b.errors[name]) for name in sorted(shared)}
        return {name: pair for name, pair in pairs.items() if has_changed(*pair, ERROR_ROUNDING)}

    @property
    def mhz(self) -> tuple[float, float] | None:
        """GPU clock in A's turns and B's, median of the processes' medians, MHz; None if not read."""
        if not self.processes or not all(rounds.a_mhz and rounds.b_mhz for rounds in self.processes):
            return None
        a_mhz = median(median(rounds.a_mhz) for rounds in self.processes)
        return a_mhz, median(median(rounds.b_mhz) for rounds in self.processes)

    @property
    def in_cycles(self) -> float | None:
        """Relative difference of B to A in GPU cycles; None if the clock was not read."""
        if self.decision is None or self.mhz is None:
            return None
        pairs = [
            replace(pair, log_ratio=pair.log_ratio + log_mean(rounds.b_mhz) - log_mean(rounds.a_mhz))
            for pair, rounds in zip(_pairs(self), self.processes, strict=True)
        ]
        return interval(pairs)[0]

    @property
    def clock(self) -> bool:
        """Whether B is slower or faster in time but not in cycles: its turns ran at a different GPU clock."""
        if self.decision is None or self.in_cycles is None:
            return False
        differs = self.decision.answer in (Answer.SLOWER, Answer.FASTER)
        return differs and is_clock(self.decision.effect, self.in_cycles)

    @property
    def regressions(self) -> tuple[str, ...]:
        """Why a gate fails at this case: slower, heavier, or the failed status of B where A is ok."""
        regressions = []
        if self.a.status is Status.OK and self.b.status in FAILURES:
            regressions.append(str(self.b.status))
        if self.decision is not None and self.decision.answer is Answer.SLOWER:
            regressions.append("slower")
        if self.memory_change_bytes > 0:
            regressions.append("heavier")
        return tuple(regressions)

    def to_json(self) -> dict[str, object]:
        """Return everything except the rounds as plain JSON data."""
        names = self.comparison.a.implementation, self.comparison.b.implementation
        return {
            "case": self.comparison.b.case.to_json(),
            "answer": self.answer,
            **{
                f"{name}_{side}": value
                for side, implementation, full_check, call_s in zip(
                    "ab", names, (self.a, self.b), (self.a_s, self.b_s), strict=True
                )
                for name, value in (
                    ("implementation", implementation),
                    ("status", str(full_check.status)),
                    ("reason", full_check.reason),
                    ("median_s", call_s),
                    ("extra_bytes", full_check.memory.extra_bytes if full_check.memory else None),
                    ("errors", dict(full_check.errors)),
                )
            },
            "decision": asdict(self.decision) if self.decision else None,
            "mhz_a": self.mhz[0] if self.mhz else None,
            "mhz_b": self.mhz[1] if self.mhz else None,
            "in_cycles": self.in_cycles,
            "clock": self.clock,
            "memory_change_bytes": self.memory_change_bytes,
            "changed_errors": list(self.changed_errors),
            "regressions": list(self.regressions),
        }

    @property
    def is_open(self) -> bool:
        """Whether the time is inconclusive: undecided, or B was not compared although A is ok."""
        if self.decision is not None:
            return self.decision.answer is Answer.UNDECIDED
        return self.a.status is Status.OK and not self.regressions


def compare(
    turns: Turns, comparisons: Sequence[Comparison], observer: Observer = lambda *_: None
) -> Iterator[ComparisonResult]:
    """Yield the result of each case as soon as it is known.

    Up to three cases are judged at looks after 10, 14, 20 and 28 processes. More cases are screened with 8
    processes; those that look different are measured again with 24 new processes and judged together.
    """
    if len(comparisons) <= FEW_CASES:
        for comparison in comparisons:
            yield _compare_case(turns, comparison, LOOKS, observer)
        return
    candidates = []
    for comparison in comparisons:
        result = _compare_case(turns, comparison, (SCREEN,), observer)
        if result.decision is not None and worth_confirming(_pairs(result)):
            candidates.append(result)
        else:
            yield result
    repeats = [_measure_again(turns, result, CONFIRM, observer) for result in candidates]
    yield from (result for result in repeats if not result.processes)
    complete = [result for result in repeats if result.processes]
    decisions = judge_all([_pairs(result) for result in complete]) if complete else []
    for result, decision in zip(complete, decisions, strict=True):
        yield replace(result, decision=decision)


def _compare_case(
    turns: Turns, comparison: Comparison, looks: Sequence[int], observer: Observer
) -> ComparisonResult:
    """Return the result of a case, judged at each look until the decision is no longer undecided."""
    observer(comparison, "check")
    a, b = turns.full_check(comparison)
    result = ComparisonResult(comparison, a, b)
    if not a.status is b.status is Status.OK:
        return result
    source = turns.processes(comparison, (a, b), lambda: observer(comparison, "time"))
    processes: list[Rounds] = []
    for look in looks:
        try:
            processes += islice(source, look - len(processes))
        except SideFailed as failure:
            return _with_failure(result, failure)
        decision = judge([paired(rounds.log_ratios) for rounds in processes])
        if decision.answer is not Answer.UNDECIDED:
            break
    return _with_times(result, processes, decision)


def _measure_again(
    turns: Turns, result: ComparisonResult, count: int, observer: Observer
) -> ComparisonResult:
    """Return a case measured again with `count` new processes, without a decision."""
    observe = lambda: observer(result.comparison, "confirm")  # noqa: E731
    source = turns.processes(result.comparison, (result.a, result.b), observe)
    try:
        return _with_times(result, list(islice(source, count)), None)
    except SideFailed as failure:
        return _with_failure(result, failure)


def _with_times(
    result: ComparisonResult, processes: Sequence[Rounds], decision: Decision | None
) -> ComparisonResult:
    a_s = median(median(rounds.a_s) for rounds in processes)
    b_s = median(median(rounds.b_s) for rounds in processes)
    return replace(result, decision=decision, a_s=a_s, b_s=b_s, processes=tuple(processes))


def _with_failure(result: ComparisonResult, failure: SideFailed) -> ComparisonResult:
    """Return the result of a case in which a side failed while it was timed."""
    full_check = FullCheckResult(failure.status, failure.reason)
    a, b = (full_check, result.b) if failure.side == 0 else (result.a, full_check)
    return ComparisonResult(result.comparison, a, b)


def _pairs(result: ComparisonResult) -> list[Paired]:
    return [paired(rounds.log_ratios) for rounds in result.processes]
