"""Suite: the verdict of every case: few are looked at again and again, many are screened and confirmed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from statistics import median
from typing import Final

from linbench.compare.change import changed, is_clock
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
    """What is known of B against A at a case.

    Attributes:
        comparison: What was compared.
        a: What A gave when it was run once.
        b: The same of B.
        decision: On time; None where a side is not ok.
        a_s: Time of one call of A: the median of the processes' medians, seconds; None without a verdict.
        b_s: The same of B.
        processes: The rounds of every process that the verdict rests on.
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
        """Slower, faster, same or undecided, or the status of a side that is not ok, A before B."""
        if self.decision is not None:
            return str(self.decision.answer)
        return str(self.a.status if self.a.status is not Status.OK else self.b.status)

    @property
    def memory_change_bytes(self) -> int:
        """How much more memory B takes above its inputs; 0 where that is rounding, or not known."""
        one, other = self.a.memory, self.b.memory
        if one is None or other is None or one.meter != other.meter:
            return 0
        change = other.extra_bytes - one.extra_bytes
        moved = changed(one.extra_bytes, other.extra_bytes, MEMORY_ROUNDING[one.meter])
        return change if moved and abs(change) > MEMORY_FLOOR_BYTES[one.meter] else 0

    @property
    def changed_errors(self) -> dict[str, tuple[float, float]]:
        """Relative L2 error in A and in B of each tensor in which it changed beyond rounding."""
        both = self.a.errors.keys() & self.b.errors.keys()
        pairs = {name: (self.a.errors[name], self.b.errors[name]) for name in sorted(both)}
        return {name: pair for name, pair in pairs.items() if changed(*pair, ERROR_ROUNDING)}

    @property
    def mhz(self) -> tuple[float, float] | None:
        """Clock of the GPU in A's turns and B's, median of the processes' medians, MHz; None if not read."""
        if not self.processes or not all(rounds.a_mhz and rounds.b_mhz for rounds in self.processes):
            return None
        a_mhz = median(median(rounds.a_mhz) for rounds in self.processes)
        return a_mhz, median(median(rounds.b_mhz) for rounds in self.processes)

    @property
    def in_cycles(self) -> float | None:
        """How many more cycles of the GPU's clock B takes, relative; None where the clock was not read."""
        if self.decision is None or self.mhz is None:
            return None
        pairs = [
            replace(pair, log_ratio=pair.log_ratio + log_mean(rounds.b_mhz) - log_mean(rounds.a_mhz))
            for pair, rounds in zip(_pairs(self), self.processes, strict=True)
        ]
        return interval(pairs)[0]

    @property
    def clock(self) -> bool:
        """Whether B is slower or faster in time but not in cycles: the GPU had another clock in its turns."""
        if self.decision is None or self.in_cycles is None:
            return False
        called = self.decision.answer in (Answer.SLOWER, Answer.FASTER)
        return called and is_clock(self.decision.effect, self.in_cycles)

    @property
    def regressions(self) -> tuple[str, ...]:
        """Why a gate fails here: slower, heavier, or the status of B where A is ok; mostly nothing."""
        found = []
        if self.a.status is Status.OK and self.b.status in FAILURES:
            found.append(str(self.b.status))
        if self.decision is not None and self.decision.answer is Answer.SLOWER:
            found.append("slower")
        if self.memory_change_bytes > 0:
            found.append("heavier")
        return tuple(found)

    def to_json(self) -> dict[str, object]:
        """Return all but the rounds as plain JSON data."""
        names = self.comparison.a.implementation, self.comparison.b.implementation
        return {
            "case": self.comparison.b.case.to_json(),
            "answer": self.answer,
            **{
                f"{name}_{side}": value
                for side, implementation, found, call_s in zip(
                    "ab", names, (self.a, self.b), (self.a_s, self.b_s), strict=True
                )
                for name, value in (
                    ("implementation", implementation),
                    ("status", str(found.status)),
                    ("reason", found.reason),
                    ("median_s", call_s),
                    ("extra_bytes", found.memory.extra_bytes if found.memory else None),
                    ("errors", dict(found.errors)),
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
        """Whether nothing can be said of the time: undecided, or B was not compared though A is ok."""
        if self.decision is not None:
            return self.decision.answer is Answer.UNDECIDED
        return self.a.status is Status.OK and not self.regressions


def compare(
    turns: Turns, comparisons: Sequence[Comparison], observer: Observer = lambda *_: None
) -> Iterator[ComparisonResult]:
    """Yield what is found at each case, as soon as it is known.

    Up to three cases are looked at after 10, 14, 20 and 28 processes. More are screened with 8; those that
    look different are measured afresh with 24, and judged together.
    """
    if len(comparisons) <= FEW_CASES:
        for comparison in comparisons:
            yield _measured(turns, comparison, LOOKS, observer)
        return
    doubtful = []
    for comparison in comparisons:
        found = _measured(turns, comparison, (SCREEN,), observer)
        if found.decision is not None and worth_confirming(_pairs(found)):
            doubtful.append(found)
        else:
            yield found
    again = [_taken(turns, found, CONFIRM, observer) for found in doubtful]
    sound = [found for found in again if found.processes]
    yield from (found for found in again if not found.processes)
    decisions = judge_all([_pairs(found) for found in sound]) if sound else []
    for found, decision in zip(sound, decisions, strict=True):
        yield replace(found, decision=decision)


def _measured(
    turns: Turns, comparison: Comparison, looks: Sequence[int], observer: Observer
) -> ComparisonResult:
    """Return what fresh processes say of a case, judged at each look until something can be said."""
    observer(comparison, "check")
    a, b = turns.full_check(comparison)
    found = ComparisonResult(comparison, a, b)
    if not a.status is b.status is Status.OK:
        return found
    source = turns.processes(comparison, (a, b), lambda: observer(comparison, "time"))
    taken: list[Rounds] = []
    for look in looks:
        try:
            taken += islice(source, look - len(taken))
        except SideFailed as ended:
            return _ended(found, ended)
        decision = judge([paired(rounds.log_ratios) for rounds in taken])
        if decision.answer is not Answer.UNDECIDED:
            break
    return _timed(found, taken, decision)


def _taken(turns: Turns, found: ComparisonResult, number: int, observer: Observer) -> ComparisonResult:
    """Return a case measured afresh with so many processes, and not judged yet."""
    observe = lambda: observer(found.comparison, "confirm")  # noqa: E731
    source = turns.processes(found.comparison, (found.a, found.b), observe)
    try:
        return _timed(found, list(islice(source, number)), None)
    except SideFailed as ended:
        return _ended(found, ended)


def _timed(found: ComparisonResult, taken: Sequence[Rounds], decision: Decision | None) -> ComparisonResult:
    a_s = median(median(rounds.a_s) for rounds in taken)
    b_s = median(median(rounds.b_s) for rounds in taken)
    return replace(found, decision=decision, a_s=a_s, b_s=b_s, processes=tuple(taken))


def _ended(found: ComparisonResult, ended: SideFailed) -> ComparisonResult:
    """Return a case of which a side was lost while it was timed."""
    gone = FullCheckResult(ended.status, ended.reason)
    a, b = (gone, found.b) if ended.side == 0 else (found.a, gone)
    return ComparisonResult(found.comparison, a, b)


def _pairs(found: ComparisonResult) -> list[Paired]:
    return [paired(rounds.log_ratios) for rounds in found.processes]
