"""Verdict: what was found of each panel, as the first section of the page tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from linbench.analysis.duel import Crossover, crossovers
from linbench.analysis.panel import Panel
from linbench.analysis.winner import Winner, winners
from linbench.core.operator import Operator
from linbench.core.profile import Profile
from linbench.report import words
from linbench.report.families import Family, families
from linbench.report.growth import Growth, growths
from linbench.report.waiting import Waiting, waiting
from linbench.report.words import Findings
from linbench.text import format


@dataclass(frozen=True)
class VerdictRow:
    """Who is fastest at one value of the axis, in words.

    Attributes:
        x: The value.
        fastest: The implementation; empty where nothing was timed.
        time: Its time with the interval.
        over: Its speed-up over the baseline, or why there is none.
        level: Others whose interval overlaps that of the fastest.
        failed: Those that failed, with their status.
    """

    x: str
    fastest: str
    time: str
    over: str
    level: str
    failed: str


@dataclass(frozen=True)
class PanelVerdict:
    """What was found of a panel.

    Attributes:
        label: The panel.
        findings: Who is fastest where, and who overtakes whom.
        rows: A line a value of the axis.
        families: A line an operator, where there are several.
        crossovers: Where the lead changes.
        growths: How times grow; none with one value of the axis.
        broken: A sentence for each that grows faster than its operator claims.
        waiting: How much of their time the calls waited.
    """

    label: str
    findings: Findings
    rows: tuple[VerdictRow, ...]
    families: tuple[Family, ...]
    crossovers: tuple[Crossover, ...]
    growths: tuple[Growth, ...]
    broken: tuple[str, ...]
    waiting: Waiting


def panel_verdict(
    panel: Panel,
    baseline: str | None,
    operators: Mapping[str, Operator],
    cores: int,
    profiles: Sequence[Profile],
) -> PanelVerdict:
    """Return what was found of a panel.

    Args:
        panel: The panel.
        baseline: What speed-ups are over.
        operators: Those whose complexity is known, by name.
        cores: Processors that the run might use.
        profiles: Of cases of the run.
    """
    ranking = {winner.x: winner for winner in winners(panel, baseline)}
    failed = words.failures(panel)
    grown = growths(panel, {name: operator.complexity for name, operator in operators.items()})
    return PanelVerdict(
        label=words.label(panel.settings),
        findings=words.findings(panel, baseline),
        rows=tuple(_row(x, ranking.get(x), baseline, failed.get(x, [])) for x in panel.xs),
        families=tuple(families(panel, operators)),
        crossovers=crossovers(panel),
        growths=tuple(grown) if len(panel.xs) > 1 else (),
        broken=tuple(growth.broken for growth in grown if growth.broken),
        waiting=waiting(panel, cores, profiles),
    )


def _row(x: int, found: Winner | None, baseline: str | None, failures: Sequence[str]) -> VerdictRow:
    at, failed = format.count(x), ", ".join(failures)
    if found is None:
        return VerdictRow(at, "", "", "", "", failed)
    over = "baseline has no time"
    if found.fastest == baseline:
        over = "the baseline"
    elif found.speedup:
        over = format.ratio_interval(found.speedup.value, found.speedup.low, found.speedup.high)
    time = format.seconds_interval(found.time.value, found.time.low, found.time.high)
    return VerdictRow(at, found.fastest, time, over, ", ".join(found.level), failed)
