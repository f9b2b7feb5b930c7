"""Data: the content of the page of a run, computed from the run and from related data of the store."""

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
"""More lines than this are hard to distinguish: a figure then shows one line per operator at first."""


@dataclass(frozen=True)
class ReportData:
    """The content of the page of a run.

    Attributes:
        summary: The head of the page, also shown in an index of reports.
        doubts: The reasons to distrust the run, one sentence each.
        baseline: The implementation that speed-ups are relative to; None if nothing was timed.
        verdicts: The results of each panel.
        means: Geometric means of speed-ups.
        has_heatmap: Whether the page has a table of speed-ups for all shapes.
        filters: The values of each setting that differs between panels, by setting.
        fixed: The settings common to all panels, as one line.
        members: The numbers of the implementations of each operator, for the legend.
        has_many: Whether figures show only one implementation per operator at first.
        unmeasured: A device without measured ceilings; empty if there is none.
        constants: The columns common to all rows, as one line.
        statuses: The statuses of the rows.
        facts: The environment, the timers and the plan.
        history: The results of earlier runs.
        profiles: The profiles of the run's cases.
        drawing: The data that the script draws.
        csv: The rows as lines of a CSV file, the header first.
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
    """Return the content of the page of a run; see `linbench.report.page.render` for the arguments."""
    rows = frame([run])
    run_panels = panels(rows)
    names = implementations(run.measurements)
    reference = baseline if baseline in names else default_baseline(run_panels)
    differing = varying(run.measurements)
    settings = _settings(run_panels)
    operator_by_name = {operator.name: operator for operator in operators}
    plot_data = drawing(run, rows, run_panels, names, reference, differing)
    cores, raw_profiles = run.environment.host.cores, [annotated.profile for annotated in profiles]
    return ReportData(
        summary=Summary(
            run=run.id,
            title=title(run),
            created_at=run.created_at,
            tally=tally(run.measurements),
            machine=machine(run.environment),
            command=command(run) or "",
        ),
        doubts=tuple(words.doubts(run, run_panels)),
        baseline=reference,
        verdicts=tuple(
            panel_verdict(panel, reference, operator_by_name, cores, raw_profiles) for panel in run_panels
        ),
        means=tuple(means(run_panels, reference)),
        has_heatmap=reference is not None and any(len(group.panels) > 1 for group in plot_data.heat),
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
        drawing=plot_data,
        csv=records(rows),
    )


def _members(names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the numbers of the implementations of each operator."""
    members: dict[str, tuple[int, ...]] = {}
    for number in sorted(range(len(names)), key=lambda number: names[number]):
        operator = names[number].partition("/")[0]
        members[operator] = (*members.get(operator, ()), number)
    return members


def _settings(run_panels: Sequence[Panel]) -> dict[str, tuple[str, ...]]:
    """Return the values of each setting over all panels, in the order in which they appear."""
    values: dict[str, dict[str, None]] = {}
    for panel in run_panels:
        for name, text in panel.settings.items():
            values.setdefault(name, {})[text] = None
    return {name: tuple(texts) for name, texts in values.items()}


def _constants(rows: Sequence[Measurement], differing: Sequence[str]) -> str:
    """Return the columns of the cases that are equal in all rows, with their value."""
    if not rows:
        return ""
    texts = {name: case_text(rows[0].case, name) for name in CASE_COLUMNS if name not in differing}
    return ", ".join(f"{name} {text}" for name, text in texts.items() if text)
