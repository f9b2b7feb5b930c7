"""Words: the results of the analysis, in sentences."""

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
    """The findings of a panel.

    Attributes:
        headline: The fastest implementation over the axis, in one sentence.
        against: Sentences on each implementation against the baseline, and on crossovers of the fastest.
        others: Sentences on the remaining crossovers.
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
    """Return the reasons to distrust a run, one sentence each."""
    rows = run.measurements
    sentences = []
    if run.finished_at is None:
        sentences.append(
            "The run did not finish: this page has only the rows that it measured before it stopped."
        )
    if failed := [row for row in rows if row.status in FAILURES]:
        statuses = Counter(row.status for row in failed)
        sentences.append(f"{len(failed):,} of {plural(len(rows), 'row')} failed: {_tally(statuses)}.")
    if flagged := [row for row in rows if row.flags]:
        flags = Counter(flag for row in flagged for flag in row.flags)
        sentences.append(f"{plural(len(flagged), 'row')} flagged: {_tally(flags)}.")
    if nondeterministic := sorted({row.implementation for row in rows if row.deterministic is False}):
        sentences.append(
            f"Not deterministic (different bits for the same inputs): {listing(nondeterministic)}."
        )
    if few := sum(1 for row in rows if row.time and row.time.n < SAMPLES_FOR_95):
        sentences.append(
            f"{plural(few, 'row')} with fewer than {SAMPLES_FOR_95} samples: "
            "their interval is the range of the samples and covers less than 95%."
        )
    if any(panel.rows["timer"].nunique() > 1 for panel in panels):
        sentences.append("Some panels compare times of different timers.")
    if any(panel.rows["memory_meter"].nunique() > 1 for panel in panels):
        sentences.append("Some panels compare memory of different meters (rss is coarser than allocator).")
    if any(code.dirty for code in run.environment.measured_code):
        sentences.append(
            "The working tree had uncommitted changes: the commit does not identify the measured code."
        )
    if any(row.time for row in rows) and run.plan.settings.processes == 1:
        sentences.append(
            "Each row is from a single process: its interval excludes the variation between processes."
        )
    return sentences


def findings(panel: Panel, baseline: str | None) -> Findings:
    """Return the findings of a panel, against a baseline."""
    ranking = winners(panel, baseline)
    leaders = {winner.fastest for winner in ranking}
    pairs = duels(panel)
    baseline_pairs = [
        _baseline_first(pair, baseline) for pair in pairs if baseline in (pair.first, pair.second)
    ]
    rest = [pair for pair in pairs if baseline not in (pair.first, pair.second)]
    against = [_crossing(point, panel.axis) for pair in baseline_pairs for point in pair.crossovers]
    others: list[str] = []
    for pair in rest:
        sentences = against if {pair.first, pair.second} <= leaders else others
        sentences += [_crossing(point, panel.axis) for point in pair.crossovers]
    if baseline is not None:
        against += _without_crossover(baseline_pairs, panel, baseline)
    return Findings(headline(ranking, panel.axis), tuple(against), tuple(others))


def headline(ranking: Sequence[Winner], axis: str) -> str:
    """Return the fastest implementation over the axis: a is fastest up to T = 2,048, b from 4,096."""
    if not ranking:
        return "Nothing was timed."
    ranges = [
        (name, [winner.x for winner in group])
        for name, group in groupby(ranking, lambda winner: winner.fastest)
    ]
    if len(ranges) == 1:
        name, xs = ranges[0]
        where = f"at {axis} = {count(xs[0])}" if len(xs) == 1 else f"at every {axis}"
        text = f"{name} is fastest {where}"
    else:
        parts = [f"{ranges[0][0]} is fastest up to {axis} = {count(ranges[0][1][-1])}"]
        parts += [f"{name} from {count(xs[0])}" for name, xs in ranges[1:]]
        text = ", ".join(parts)
    if level := [count(winner.x) for winner in ranking if winner.level]:
        text += f"; intervals overlap at {axis} = {listing(level)}"
    return f"{text}."


def failures(panel: Panel) -> dict[int, list[str]]:
    """Return the implementations that failed at each value of the axis, with the status: a (oom)."""
    failed = panel.rows[panel.rows["status"].isin(FAILURES)]
    names: dict[int, list[str]] = {}
    for x, name, status in zip(failed[panel.axis], failed["implementation"], failed["status"], strict=True):
        names.setdefault(int(x), []).append(f"{name} ({status})")
    return names


def _crossing(point: Crossover, axis: str) -> str:
    return (
        f"{point.faster} overtakes {point.slower} at {axis} = {digits(point.at)} "
        f"[{digits(point.low)}, {digits(point.high)}], between the measured values "
        f"{count(point.after)} and {count(point.before)}."
    )


def _without_crossover(pairs: Sequence[Duel], panel: Panel, baseline: str) -> list[str]:
    """Return sentences on implementations that never cross the baseline, or share no value with it."""
    faster = [pair.second for pair in pairs if not pair.first_wins and not pair.level]
    slower = [pair.second for pair in pairs if not pair.second_wins and not pair.level]
    sentences = []
    if faster:
        sentences.append(f"Faster than {baseline} wherever both were timed: {listing(faster)}.")
    if slower:
        sentences.append(f"Slower than {baseline} wherever both were timed: {listing(slower)}.")
    sentences += [
        f"No clear crossover between {pair.second} and {baseline}: "
        f"their intervals overlap at {panel.axis} = {listing([count(x) for x in pair.level])}."
        for pair in pairs
        if pair.level and not pair.crossovers
    ]
    paired = {pair.second for pair in pairs} | {baseline}
    if unpaired := sorted({*panel.rows["implementation"]} - paired):
        sentences.append(f"Not timed at any {panel.axis} at which {baseline} was timed: {listing(unpaired)}.")
    return sentences


def _baseline_first(pair: Duel, baseline: str | None) -> Duel:
    """Return a duel with the baseline as its first implementation."""
    if pair.first == baseline:
        return pair
    return Duel(pair.second, pair.first, pair.second_wins, pair.first_wins, pair.level, pair.crossovers)


def _tally(counts: Mapping[Any, int]) -> str:
    return listing([f"{number:,} {name}" for name, number in sorted(counts.items())])
