"""Verdict: the results of each panel, for the first section of the page."""

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
    """The fastest implementation at one value of the axis, as text.

    Attributes:
        x: The value of the axis.
        fastest: The fastest implementation; empty where nothing was timed.
        time: Its time with the interval.
        over: Its speed-up over the baseline, or the reason why there is none.
        level: The other implementations whose interval overlaps that of the fastest.
        failed: The implementations that failed, with their status.
    """

    x: str
    fastest: str
    time: str
    over: str
    level: str
    failed: str


@dataclass(frozen=True)
class PanelVerdict:
    """The results of a panel.

    Attributes:
        label: The settings of the panel.
        findings: The findings as sentences.
        rows: One line per value of the axis.
        families: One line per operator, if there are several.
        crossovers: The crossovers.
        growths: The growth of times; none with a single value of the axis.
        broken: One sentence per implementation whose time grows faster than its operator claims.
        waiting: Sentences on the share of their time that calls waited.
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
    """Return the results of a panel.

    Args:
        panel: The panel.
        baseline: The implementation that speed-ups are relative to.
        operators: The operators whose complexity is known, by name.
        cores: The number of processor cores available to the run.
        profiles: Profiles of the run's cases.
    """
    ranking = {winner.x: winner for winner in winners(panel, baseline)}
    failed = words.failures(panel)
    growth_of_panel = growths(panel, {name: operator.complexity for name, operator in operators.items()})
    return PanelVerdict(
        label=words.label(panel.settings),
        findings=words.findings(panel, baseline),
        rows=tuple(_row(x, ranking.get(x), baseline, failed.get(x, [])) for x in panel.xs),
        families=tuple(families(panel, operators)),
        crossovers=crossovers(panel),
        growths=tuple(growth_of_panel) if len(panel.xs) > 1 else (),
        broken=tuple(growth.broken for growth in growth_of_panel if growth.broken),
        waiting=waiting(panel, cores, profiles),
    )


def _row(x: int, winner: Winner | None, baseline: str | None, failures: Sequence[str]) -> VerdictRow:
    at, failed = format.count(x), ", ".join(failures)
    if winner is None:
        return VerdictRow(at, "", "", "", "", failed)
    over = "the baseline has no time"
    if winner.fastest == baseline:
        over = "the baseline"
    elif winner.speedup:
        over = format.ratio_interval(winner.speedup.value, winner.speedup.low, winner.speedup.high)
    time = format.seconds_interval(winner.time.value, winner.time.low, winner.time.high)
    return VerdictRow(at, winner.fastest, time, over, ", ".join(winner.level), failed)
