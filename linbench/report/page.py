"""The page: one HTML file that holds a run, its analysis and its figures, and needs no network."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from linbench.analysis.capacity import capacities
from linbench.analysis.duel import crossovers
from linbench.analysis.panel import Panel, option_text, options_text, panels
from linbench.analysis.verdict import default_baseline, verdicts
from linbench.compare.history import Series
from linbench.core.case import Case
from linbench.core.measurement import FAILURES, Measurement
from linbench.core.operator import Operator
from linbench.core.run import Run
from linbench.report import history, roofline, words
from linbench.report.document import document, finite, timing
from linbench.report.facts import command, facts, machine, tally, title
from linbench.report.families import families, fastest
from linbench.report.figures import figures, layout, styles
from linbench.report.growth import growths
from linbench.report.means import alike, means
from linbench.report.profiled import Told, sections
from linbench.report.waiting import waiting
from linbench.store.table import frame

CASE_COLUMNS = ("T", "B", "H", "K", "V", "dtype", "mode", "device", "options", "seed")
SCRIPTS = (
    *("numbers.js", "data.js", "canvas.js", "traces.js", "view.js", "pager.js", "stage.js"),
    *("curves.js", "heatmap.js", "slices.js", "roofline.js", "reach.js", "rows.js", "download.js"),
)
MANY = 12
"""More lines than this are told apart badly: a figure then begins with one an operator."""
MEMORY_PARTS = ("extra", "output", "saved", "workspace", "state")
ROW_COLUMNS = (
    *("implementation", "case", "status", "reason", "median", "low", "high", "n"),
    *MEMORY_PARTS,
    *("meter", "errors", "worst", "approximation", "along", "flags"),
    *roofline.COLUMNS,
)


def render(
    run: Run,
    *,
    baseline: str | None = None,
    series: Sequence[Series] = (),
    baselines: Mapping[str, str] | None = None,
    operators: Sequence[Operator] = (),
    profiles: Sequence[Told] = (),
) -> str:
    """Return the report of a run as one HTML page.

    Args:
        run: The run, with its measurements.
        baseline: The implementation that speed-ups are over; by default the one with the most times and,
            of several, the one that is fastest where the panels begin. A name that the run does not have
            counts as none.
        series: What the store's runs found of its cases.
        baselines: Runs of the store by their names.
        operators: Those whose complexity is known.
        profiles: Of its cases, one for each implementation and case.
    """
    known = {operator.name: operator for operator in operators}
    found = panels(frame([run]))
    roofs = roofline.roofs_of_run(run)
    profiled = [told.profile for told in profiles]
    names = _names(run.measurements)
    chosen = baseline if baseline in names else default_baseline(found)
    axis = found[0].axis if found else "T"
    return document(
        "page.html.j2",
        SCRIPTS,
        _data(run, found, names, chosen, axis),
        run=run,
        title=title(run),
        tab=f"{title(run)} · {run.id}",
        record=json.dumps(_summary(run)),
        command=command(run),
        tally=tally(run.measurements),
        machine=machine(run.environment),
        doubts=words.doubts(run, found),
        axis=axis,
        baseline=chosen,
        verdicts=[
            _verdict(panel, chosen, known) | {"waiting": waiting(panel, run.environment.host.cores, profiled)}
            for panel in found
        ],
        means=means(found, chosen),
        heatmap=any(len(group) > 1 for group in alike(found)) and chosen is not None,
        filters=_filters(found),
        fixed=_fixed(found),
        implementations=styles(names),
        members=_members(names),
        MANY=MANY,
        figures=figures(run.measurements, roofs),
        roofs=roofs,
        unmeasured=roofline.unmeasured(run),
        columns=_varying(run.measurements),
        constants=_constants(run.measurements),
        statuses=sorted({str(row.status) for row in run.measurements}),
        facts=facts(run),
        history=history.history(run, series, baselines or {}),
        profiles=sections(run, profiles),
        width=history.WIDTH,
        height=history.HEIGHT,
    )


def _summary(run: Run) -> dict[str, str]:
    """Return what an index of reports says of a run; see `linbench.report.index`."""
    return {
        "run": run.id,
        "title": title(run),
        "created_at": run.created_at,
        "tally": tally(run.measurements),
        "machine": machine(run.environment),
        "command": command(run) or "",
    }


def _names(rows: Sequence[Measurement]) -> list[str]:
    """Return the implementations by name; those never timed come last, after the clearest colours."""
    timed = {row.implementation for row in rows if row.time}
    return sorted({row.implementation for row in rows}, key=lambda name: (name not in timed, name))


def _members(names: Sequence[str]) -> dict[str, list[int]]:
    """Return by operator the numbers of its implementations, for the legend."""
    found: dict[str, list[int]] = {}
    for number in sorted(range(len(names)), key=lambda number: names[number]):
        found.setdefault(names[number].partition("/")[0], []).append(number)
    return found


def _data(
    run: Run, found: Sequence[Panel], names: list[str], baseline: str | None, axis: str
) -> dict[str, Any]:
    """Return what the page's script draws from: every row once, and the rows of each panel by number."""
    rows, roofs = run.measurements, roofline.roofs_of_run(run)
    plugins = [word for plugin in run.plan.plugins for word in ("--plugin", plugin)]
    cases = list(dict.fromkeys(row.case for row in rows))
    case_number = {case: number for number, case in enumerate(cases)}
    varying = _varying(rows)
    return {
        "run": run.id,
        "axis": axis,
        "again": shlex.join(["linbench", "run", *plugins]),
        "implementations": [style | {"quoted": shlex.quote(style["name"])} for style in styles(names)],
        "baseline": baseline,
        "failures": sorted(FAILURES),
        "figures": [figure | {"layout": layout(figure, axis)} for figure in figures(rows, roofs)],
        "roofs": roofline.drawn(roofs),
        "columns": varying,
        "cases": [_case(case) for case in cases],
        "memoryParts": MEMORY_PARTS,
        "rowColumns": ROW_COLUMNS,
        "rows": [
            [
                *_row(row, names.index(row.implementation), case_number[row.case]),
                *roofline.cells(row, roofs),
            ]
            for row in rows
        ],
        "panels": [
            {
                "label": words.label(panel.settings),
                "settings": panel.settings,
                "rows": [int(number) for number in panel.rows.index],
                "fastest": [names.index(name) for name in fastest(panel).values()],
                "reach": [
                    asdict(one) | {"implementation": names.index(one.implementation)}
                    for one in capacities(panel)
                ],
            }
            for panel in found
        ],
    }


def _case(case: Case) -> dict[str, Any]:
    shape = " ".join(f"--{axis} {getattr(case, axis)}" for axis in ("T", "B", "H", "K", "V"))
    kind = f"--dtype {case.dtype} --mode {case.mode} --device {case.device}"
    options = "".join(
        f" --option {shlex.quote(option_text(name, value))}" for name, value in sorted(case.options.items())
    )
    seed = f" --seed {case.seed}" if case.seed else ""
    return {name: getattr(case, name) for name in CASE_COLUMNS} | {
        "options": options_text(case.options),
        "tokens": case.tokens,
        "arguments": f"{shape} {kind}{options}{seed}",
    }


def _row(row: Measurement, implementation: int, case: int) -> list[Any]:
    """Return a row as `ROW_COLUMNS` has it, without its work; what is missing or not finite is null."""
    memory = row.memory
    worst = row.errors.get(row.worst_tensor or "")
    return [
        implementation,
        case,
        str(row.status),
        row.reason or "",
        *timing(row.time),
        *(getattr(memory, f"{part}_bytes") if memory else None for part in MEMORY_PARTS),
        memory.meter if memory else None,
        {
            name: [finite(error.rel_l2), finite(error.budget), error.nonfinite]
            for name, error in row.errors.items()
        },
        row.worst_tensor,
        finite(max(row.approximation.values())) if row.approximation else None,
        [None if part is None else finite(part, 3) for part in worst.by_position] if worst else [],
        list(row.flags),
    ]


def _verdict(panel: Panel, baseline: str | None, operators: Mapping[str, Operator]) -> dict[str, Any]:
    ranking = {verdict.x: verdict for verdict in verdicts(panel, baseline)}
    grown = growths(panel, {name: operator.complexity for name, operator in operators.items()})
    return {
        "label": words.label(panel.settings),
        "findings": words.findings(panel, baseline),
        "rows": [(x, ranking.get(x), words.failed_at(panel, x)) for x in panel.xs],
        "families": families(panel, operators),
        "crossovers": crossovers(panel),
        "growths": grown if len(panel.xs) > 1 else [],
        "broken": [growth.broken for growth in grown if growth.broken],
    }


def _settings(found: Sequence[Panel]) -> dict[str, list[str]]:
    """Return the values of each setting over all panels, in the order in which they appear."""
    values: dict[str, list[str]] = {}
    for panel in found:
        for name, text in panel.settings.items():
            known = values.setdefault(name, [])
            if text not in known:
                known.append(text)
    return values


def _filters(found: Sequence[Panel]) -> dict[str, list[str]]:
    return {name: values for name, values in _settings(found).items() if len(values) > 1}


def _fixed(found: Sequence[Panel]) -> str:
    """Return what is the same in every panel, as one line."""
    same = {name: values[0] for name, values in _settings(found).items() if len(values) == 1}
    return words.label(same)


def _varying(rows: Sequence[Measurement]) -> list[str]:
    """Return the columns of the cases that differ between rows."""
    return [name for name in CASE_COLUMNS if len({_case_text(row.case, name) for row in rows}) > 1]


def _constants(rows: Sequence[Measurement]) -> str:
    """Return the columns of the cases that are the same in every row, with their value."""
    varying = _varying(rows)
    if not rows:
        return ""
    texts = {name: _case_text(rows[0].case, name) for name in CASE_COLUMNS if name not in varying}
    return ", ".join(f"{name} {text}" for name, text in texts.items() if text)


def _case_text(case: Case, name: str) -> str:
    return options_text(case.options) if name == "options" else str(getattr(case, name))
