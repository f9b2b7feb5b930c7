"""What the analysis found, in sentences."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from linbench.analysis.duel import Crossover, Duel, duels
from linbench.analysis.panel import Panel
from linbench.analysis.winner import Winner, winners
from linbench.core.measurement import FAILURES
from linbench.core.run import Run
from linbench.statistics.interval import SAMPLES_FOR_95
from linbench.text.format import count, digits, listing, plural


@dataclass(frozen=True)
class Findings:
    """What there is to say about a panel.

    Attributes:
        headline: Who is fastest where, in one sentence.
        against: Each implementation against the baseline, and who overtakes whom in the lead.
        others: The remaining crossovers.
    """

    headline: str
    against: tuple[str, ...]
    others: tuple[str, ...]


def label(settings: Mapping[str, str]) -> str:
    """Return the settings of a panel as one line: fwd · float32 · cpu · B 1 · H 4 · K = V = 64."""
    parts = []
    for name, text in settings.items():
        if name in ("mode", "dtype", "device", "options"):
            parts.append(text)
        elif name == "K/V":
            key, _, value = text.partition("/")
            parts.append(f"K {key} · V {value}" if value else f"K = V = {key}")
        elif name != "seed" or text != "0":
            parts.append(f"{name} {text}")
    return " · ".join(part for part in parts if part)


def doubts(run: Run, panels: Sequence[Panel]) -> list[str]:
    """Return what lowers trust in a run, a sentence each; none if nothing does."""
    rows = run.measurements
    found = []
    if run.finished_at is None:
        found.append("The run did not finish: what is here is what it measured before it stopped.")
    if failed := [row for row in rows if row.status in FAILURES]:
        statuses = Counter(row.status for row in failed)
        found.append(f"{len(failed):,} of {plural(len(rows), 'row')} failed: {_tally(statuses)}.")
    if flagged := [row for row in rows if row.flags]:
        flags = Counter(flag for row in flagged for flag in row.flags)
        found.append(f"{plural(len(flagged), 'row')} flagged: {_tally(flags)}.")
    if wavering := sorted({row.implementation for row in rows if row.deterministic is False}):
        found.append(f"Other bits for the same inputs: {listing(wavering)}.")
    if few := sum(1 for row in rows if row.time and row.time.n < SAMPLES_FOR_95):
        found.append(
            f"{plural(few, 'row')} with fewer than {SAMPLES_FOR_95} samples: "
            "there the interval is their range and covers less than 95%."
        )
    if any(panel.rows["timer"].nunique() > 1 for panel in panels):
        found.append("Rows that are set side by side were taken with different timers.")
    if any(panel.rows["memory_meter"].nunique() > 1 for panel in panels):
        found.append(
            "Memory that is set side by side was read in different ways (rss is coarser than allocator)."
        )
    if any(code.dirty for code in run.environment.measured_code):
        found.append("The working tree had uncommitted changes: the commit does not name the code that ran.")
    if any(row.time for row in rows) and run.plan.settings.processes == 1:
        found.append(
            "Each row comes from one process: its interval leaves out what changes from process to process."
        )
    return found


def findings(panel: Panel, baseline: str | None) -> Findings:
    """Return what there is to say about a panel, against a baseline."""
    ranking = winners(panel, baseline)
    leaders = {verdict.fastest for verdict in ranking}
    pairs = duels(panel)
    own = [_facing(pair, baseline) for pair in pairs if baseline in (pair.first, pair.second)]
    rest = [pair for pair in pairs if baseline not in (pair.first, pair.second)]
    against = [_crossing(point, panel.axis) for pair in own for point in pair.crossovers]
    others: list[str] = []
    for pair in rest:
        place = against if {pair.first, pair.second} <= leaders else others
        place += [_crossing(point, panel.axis) for point in pair.crossovers]
    if baseline is not None:
        against += _uncrossed(own, panel, baseline)
    return Findings(headline(ranking, panel.axis), tuple(against), tuple(others))


def headline(ranking: Sequence[Winner], axis: str) -> str:
    """Return who is fastest where: a is fastest up to T = 2,048, b from 4,096."""
    if not ranking:
        return "Nothing was timed."
    stretches = [
        (name, [verdict.x for verdict in group]) for name, group in groupby(ranking, lambda v: v.fastest)
    ]
    if len(stretches) == 1:
        name, xs = stretches[0]
        where = f"at {axis} = {count(xs[0])}" if len(xs) == 1 else f"at every {axis}"
        text = f"{name} is fastest {where}"
    else:
        parts = [f"{stretches[0][0]} is fastest up to {axis} = {count(stretches[0][1][-1])}"]
        parts += [f"{name} from {count(xs[0])}" for name, xs in stretches[1:]]
        text = ", ".join(parts)
    if level := [count(verdict.x) for verdict in ranking if verdict.level]:
        text += f"; not clearly at {axis} = {listing(level)}"
    return f"{text}."


def failures(panel: Panel) -> dict[int, list[str]]:
    """Return by value of the axis the implementations that failed there, with the status: a (oom)."""
    failed = panel.rows[panel.rows["status"].isin(FAILURES)]
    found: dict[int, list[str]] = {}
    for x, name, status in zip(failed[panel.axis], failed["implementation"], failed["status"], strict=True):
        found.setdefault(int(x), []).append(f"{name} ({status})")
    return found


def _crossing(point: Crossover, axis: str) -> str:
    return (
        f"{point.faster} overtakes {point.slower} at {axis} = {digits(point.at)} "
        f"[{digits(point.low)}, {digits(point.high)}], between the measured "
        f"{count(point.after)} and {count(point.before)}."
    )


def _uncrossed(pairs: Sequence[Duel], panel: Panel, baseline: str) -> list[str]:
    """Return the sentences on those that never cross the baseline, and those never timed beside it."""
    faster = [pair.second for pair in pairs if not pair.first_wins and not pair.level]
    slower = [pair.second for pair in pairs if not pair.second_wins and not pair.level]
    found = []
    if faster:
        found.append(f"Faster than {baseline} wherever both were timed: {listing(faster)}.")
    if slower:
        found.append(f"Slower than {baseline} wherever both were timed: {listing(slower)}.")
    found += [
        f"No clear crossover between {pair.second} and {baseline}: "
        f"their intervals overlap at {panel.axis} = {listing([count(x) for x in pair.level])}."
        for pair in pairs
        if pair.level and not pair.crossovers
    ]
    met = {pair.second for pair in pairs} | {baseline}
    if alone := sorted({*panel.rows["implementation"]} - met):
        found.append(f"Never timed beside {baseline}: {listing(alone)}.")
    return found


def _facing(pair: Duel, baseline: str | None) -> Duel:
    """Return a duel with the baseline as its first."""
    if pair.first == baseline:
        return pair
    return Duel(pair.second, pair.first, pair.second_wins, pair.first_wins, pair.level, pair.crossovers)


def _tally(counted: Mapping[Any, int]) -> str:
    return listing([f"{number:,} {name}" for name, number in sorted(counted.items())])
