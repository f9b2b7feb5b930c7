"""Comparison: what is known of B against A, in words."""

from __future__ import annotations

from linbench.compare.stored import Suspicion
from linbench.compare.suite import ComparisonResult
from linbench.core.measurement import Status
from linbench.text import format


def subject(found: ComparisonResult) -> str:
    """Return what was compared: linear/chunk B1 T512 ..., or two names at a case."""
    a, b = found.comparison.jobs
    name = (
        a.implementation
        if a.implementation == b.implementation
        else f"{a.implementation}, {b.implementation}"
    )
    return f"{name} {b.case}"


def percent(value: float) -> str:
    """Return a relative change with its sign: +1.2%."""
    return f"{100 * value:+.1f}%"


def effect(found: ComparisonResult) -> str:
    """Return how much longer B takes, with the interval: +1.2% [+0.8, +1.6]; or why there is none."""
    decision = found.decision
    if decision is None:
        return reasons(found)
    said = f"{percent(decision.effect)} [{100 * decision.low:+.1f}, {100 * decision.high:+.1f}]"
    return f"{said} {clock(found)}".rstrip()


def clock(found: ComparisonResult | Suspicion) -> str:
    """Return the label of a difference in time that is none in cycles, or nothing.

    It is as in (clock: +0.1% in cycles, 1,980 → 1,755 MHz).
    """
    if not found.clock or found.mhz is None or found.in_cycles is None:
        return ""
    a, b = (format.count(round(mhz)) for mhz in found.mhz)
    return f"(clock: {percent(found.in_cycles)} in cycles, {a} \u2192 {b} MHz)"


def evidence(found: ComparisonResult) -> str:
    """Return the evidence of a decision: p, the number of processes and the minimum detectable effect."""
    decision = found.decision
    if decision is None:
        return ""
    least = decision.minimum_detectable_effect
    least_text = "none" if least is None else f"{100 * least:.1f}%"
    number = f"{decision.processes} processes"
    return f"p {format.digits(decision.p)}, {number}, minimum detectable effect {least_text}"


def times(found: ComparisonResult) -> str:
    """Return the time of a call on each side: 2.31 ms → 2.35 ms."""
    if found.a_s is None or found.b_s is None:
        return ""
    return f"{format.seconds(found.a_s)} \u2192 {format.seconds(found.b_s)}"


def memory(found: ComparisonResult) -> str:
    """Return the memory above the inputs, and by how much it changed."""
    one, other = found.a.memory, found.b.memory
    if one is None or other is None:
        return ""
    if not found.memory_change_bytes:
        return f"memory +{format.size(other.extra_bytes)}"
    sign = "+" if found.memory_change_bytes > 0 else "-"
    change = f"{sign}{format.size(abs(found.memory_change_bytes))}"
    return f"memory +{format.size(one.extra_bytes)} \u2192 +{format.size(other.extra_bytes)} ({change})"


def error(found: ComparisonResult) -> str:
    """Return the worst tensor's error, or that of each tensor whose error changed on both sides."""
    if found.changed_errors:
        parts = (f"{name} {a:.1e} \u2192 {b:.1e}" for name, (a, b) in found.changed_errors.items())
        return f"error {', '.join(parts)}"
    worst = max(found.b.errors.values(), default=None)
    return "" if worst is None else f"error {worst:.1e}"


def reasons(found: ComparisonResult) -> str:
    """Return why a side is not ok, in one line; nothing if both are."""
    sides = (("A", found.a), ("B", found.b))
    parts = (
        f"{name} is {side.status}: {side.reason}" for name, side in sides if side.status is not Status.OK
    )
    return "; ".join(parts)


def line(found: ComparisonResult) -> str:
    """Return all that is known in one line."""
    parts = (effect(found), evidence(found), times(found), memory(found), error(found))
    regressions = ", ".join(found.regressions)
    head = f"{found.answer:<11} {subject(found)}"
    said = (head, *parts, f"REGRESSION: {regressions}" if regressions else "")
    return "  ".join(part for part in said if part)


def suspicion_line(found: Suspicion) -> str:
    """Return what two stored rows say in one line."""
    head = f"{found.answer:<11} {found.b.implementation} {found.b.case}"
    if found.effect is None or found.low is None or found.high is None:
        return f"{head}  {found.a.status} \u2192 {found.b.status}, not timed by one timer on both sides"
    said = f"{head}  {percent(found.effect)} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
    return f"{said} {clock(found)}".rstrip()
