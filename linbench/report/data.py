"""Data: all that the page of a run says, made once of the run and of what the store knows beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from linbench.analysis.panel import Panel, panels
from linbench.analysis.winner import default_baseline
from linbench.compare.history import Series
from linbench.core.measurement import Measurement
from linbench.core.operator import Operator
from linbench.core.run import Run
from linbench.report import words
from linbench.report.drawing import Drawing, drawing
from linbench.report.facts import command, facts, machine, tally, title
from linbench.report.history import History, history
from linbench.report.means import Mean, means
from linbench.report.profiled import AnnotatedProfile, Section, sections
from linbench.report.roofline import unmeasured
from linbench.report.style import implementations
from linbench.report.summary import Summary
from linbench.report.table import CASE_COLUMNS, case_text, varying
from linbench.report.verdict import PanelVerdict, panel_verdict
from linbench.store.exchange.csv import records
from linbench.store.table import frame

MANY: Final = 12
"""More lines than this are told apart badly: a figure then begins with one an operator."""


@dataclass(frozen=True)
class ReportData:
    """What the page of a run says.

    Attributes:
        summary: The head of the page, and what an index of reports says of it.
        doubts: What lowers trust in the run, a sentence each.
        baseline: What speed-ups are over; None if nothing was timed.
        verdicts: What was found of each panel.
        means: Geometric means of speed-ups.
        has_heatmap: Whether speed-ups over all shapes are a figure.
        filters: By setting that differs between panels, its values.
        fixed: What is the same in every panel, as one line.
        members: By operator, the numbers of its implementations, for the legend.
        has_many: Whether figures begin with one implementation an operator.
        unmeasured: The device whose ceilings are still to be measured; empty if there is none.
        constants: What is the same in every row, as one line.
        statuses: How any row ended.
        facts: The environment, the timers and the plan.
        history: What earlier runs found.
        profiles: Where the time of a call goes.
        drawing: What the script draws from.
        csv: The rows as a CSV file has them, the head first.
    """

    summary: Summary
    doubts: tuple[str, ...]
    baseline: str | None
    verdicts: tuple[PanelVerdict, ...]
    means: tuple[Mean, ...]
    has_heatmap: bool
    filters: Mapping[str, tuple[str, ...]]
    fixed: str
    members: Mapping[str, tuple[int, ...]]
    has_many: bool
    unmeasured: str
    constants: str
    statuses: tuple[str, ...]
    facts: list[tuple[str, list[tuple[str, str]]]]
    history: History
    profiles: tuple[Section, ...]
    drawing: Drawing
    csv: tuple[str, ...]


def report_data(
    run: Run,
    baseline: str | None = None,
    series: Sequence[Series] = (),
    baselines: Mapping[str, str] | None = None,
    operators: Sequence[Operator] = (),
    profiles: Sequence[AnnotatedProfile] = (),
) -> ReportData:
    """Return what the page of a run says; see `linbench.report.page.render` for its arguments."""
    rows = frame([run])
    found = panels(rows)
    names = implementations(run.measurements)
    chosen = baseline if baseline in names else default_baseline(found)
    differing = varying(run.measurements)
    settings = _settings(found)
    known = {operator.name: operator for operator in operators}
    drawn = drawing(run, rows, found, names, chosen, differing)
    cores, profiled = run.environment.host.cores, [told.profile for told in profiles]
    return ReportData(
        summary=Summary(
            run=run.id,
            title=title(run),
            created_at=run.created_at,
            tally=tally(run.measurements),
            machine=machine(run.environment),
            command=command(run) or "",
        ),
        doubts=tuple(words.doubts(run, found)),
        baseline=chosen,
        verdicts=tuple(panel_verdict(panel, chosen, known, cores, profiled) for panel in found),
        means=tuple(means(found, chosen)),
        has_heatmap=chosen is not None and any(len(group.panels) > 1 for group in drawn.heat),
        filters={name: texts for name, texts in settings.items() if len(texts) > 1},
        fixed=words.label({name: texts[0] for name, texts in settings.items() if len(texts) == 1}),
        members=_members(names),
        has_many=len(names) > MANY,
        unmeasured=unmeasured(run),
        constants=_constants(run.measurements, differing),
        statuses=tuple(sorted({str(row.status) for row in run.measurements})),
        facts=facts(run),
        history=history(run, series, baselines or {}),
        profiles=tuple(sections(run, profiles)),
        drawing=drawn,
        csv=records(rows),
    )


def _members(names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return by operator the numbers of its implementations."""
    found: dict[str, tuple[int, ...]] = {}
    for number in sorted(range(len(names)), key=lambda number: names[number]):
        operator = names[number].partition("/")[0]
        found[operator] = (*found.get(operator, ()), number)
    return found


def _settings(found: Sequence[Panel]) -> dict[str, tuple[str, ...]]:
    """Return the values of each setting over all panels, in the order in which they appear."""
    values: dict[str, dict[str, None]] = {}
    for panel in found:
        for name, text in panel.settings.items():
            values.setdefault(name, {})[text] = None
    return {name: tuple(texts) for name, texts in values.items()}


def _constants(rows: Sequence[Measurement], differing: Sequence[str]) -> str:
    """Return the columns of the cases that are the same in every row, with their value."""
    if not rows:
        return ""
    texts = {name: case_text(rows[0].case, name) for name in CASE_COLUMNS if name not in differing}
    return ", ".join(f"{name} {text}" for name, text in texts.items() if text)
