"""Comparison: the result of comparing B with A, as text."""

from __future__ import annotations

from linbench.compare.stored import Suspicion
from linbench.compare.suite import ComparisonResult
from linbench.core.measurement import Status
from linbench.text import format


def subject(result: ComparisonResult) -> str:
    """Return the subject of a comparison: linear/chunk B1 T512 ..., or two names and a case."""
    a, b = result.comparison.jobs
    name = (
        a.implementation
        if a.implementation == b.implementation
        else f"{a.implementation}, {b.implementation}"
    )
    return f"{name} {b.case}"


def percent(value: float) -> str:
    """Return a relative change with its sign: +1.2%."""
    return f"{100 * value:+.1f}%"


def effect(result: ComparisonResult) -> str:
    """Return the relative change of the time, with its interval: +1.2% [+0.8, +1.6]; or why there is none."""
    decision = result.decision
    if decision is None:
        return reasons(result)
    text = f"{percent(decision.effect)} [{100 * decision.low:+.1f}, {100 * decision.high:+.1f}]"
    return f"{text} {clock(result)}".rstrip()


def clock(result: ComparisonResult | Suspicion) -> str:
    """Return the label of a difference in time that vanishes in clock cycles, or an empty text.

    For example: (clock: +0.1% in cycles, 1,980 → 1,755 MHz).
    """
    if not result.clock or result.mhz is None or result.in_cycles is None:
        return ""
    a, b = (format.count(round(mhz)) for mhz in result.mhz)
    return f"(clock: {percent(result.in_cycles)} in cycles, {a} \u2192 {b} MHz)"


def evidence(result: ComparisonResult) -> str:
    """Return the evidence of a decision: p, the number of processes and the minimum detectable effect."""
    decision = result.decision
    if decision is None:
        return ""
    minimum = decision.minimum_detectable_effect
    minimum_text = "none" if minimum is None else f"{100 * minimum:.1f}%"
    number = f"{decision.processes} processes"
    return f"p {format.digits(decision.p)}, {number}, minimum detectable effect {minimum_text}"


def times(result: ComparisonResult) -> str:
    """Return the time per call on each side: 2.31 ms → 2.35 ms."""
    if result.a_s is None or result.b_s is None:
        return ""
    return f"{format.seconds(result.a_s)} \u2192 {format.seconds(result.b_s)}"


def memory(result: ComparisonResult) -> str:
    """Return the memory above the inputs, and its change."""
    a, b = result.a.memory, result.b.memory
    if a is None or b is None:
        return ""
    if not result.memory_change_bytes:
        return f"memory +{format.size(b.extra_bytes)}"
    sign = "+" if result.memory_change_bytes > 0 else "-"
    change = f"{sign}{format.size(abs(result.memory_change_bytes))}"
    return f"memory +{format.size(a.extra_bytes)} \u2192 +{format.size(b.extra_bytes)} ({change})"


def error(result: ComparisonResult) -> str:
    """Return the worst tensor's error, or that of each tensor whose error changed on both sides."""
    if result.changed_errors:
        parts = (f"{name} {a:.1e} \u2192 {b:.1e}" for name, (a, b) in result.changed_errors.items())
        return f"error {', '.join(parts)}"
    worst = max(result.b.errors.values(), default=None)
    return "" if worst is None else f"error {worst:.1e}"


def reasons(result: ComparisonResult) -> str:
    """Return the reason why a side is not ok, in one line; an empty text if both are ok."""
    sides = (("A", result.a), ("B", result.b))
    parts = (
        f"{name} is {side.status}: {side.reason}" for name, side in sides if side.status is not Status.OK
    )
    return "; ".join(parts)


def line(result: ComparisonResult) -> str:
    """Return the whole result in one line."""
    parts = (effect(result), evidence(result), times(result), memory(result), error(result))
    regressions = ", ".join(result.regressions)
    head = f"{result.answer:<11} {subject(result)}"
    fields = (head, *parts, f"REGRESSION: {regressions}" if regressions else "")
    return "  ".join(part for part in fields if part)


def suspicion_line(result: Suspicion) -> str:
    """Return the comparison of two stored rows in one line."""
    head = f"{result.answer:<11} {result.b.implementation} {result.b.case}"
    if result.effect is None or result.low is None or result.high is None:
        return (
            f"{head}  {result.a.status} \u2192 {result.b.status}, not timed with the same timer on both sides"
        )
    text = f"{head}  {percent(result.effect)} [{100 * result.low:+.1f}, {100 * result.high:+.1f}]"
    return f"{text} {clock(result)}".rstrip()
