"""The page: one HTML file that holds a run, its analysis and its figures, and needs no network."""

import json
import math
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from linbench.analysis.capacity import capacities
from linbench.analysis.duel import crossovers
from linbench.analysis.panel import Panel, option_text, options_text, panels
from linbench.analysis.verdict import default_baseline, verdicts
from linbench.compare.history import Series
from linbench.core.case import Case
from linbench.core.measurement import FAILURES, Measurement
from linbench.core.operator import Operator
from linbench.core.run import Run
from linbench.report import format, history, html, words
from linbench.report.families import families, fastest
from linbench.report.figures import DARK, LIGHT, figures, layout, styles
from linbench.report.growth import growths
from linbench.report.means import alike, means
from linbench.store.table import frame

CASE_COLUMNS = ("T", "B", "H", "K", "V", "dtype", "mode", "device", "options", "seed")
SCRIPTS = (
    *("numbers.js", "data.js", "canvas.js", "traces.js", "stage.js"),
    *("curves.js", "heatmap.js", "slices.js", "reach.js", "rows.js", "download.js"),
)
MANY = 12
"""More lines than this are told apart badly: a figure then begins with one an operator."""
MEMORY_PARTS = ("extra", "output", "saved", "workspace", "state")
ROW_COLUMNS = (
    *("implementation", "case", "status", "reason", "median", "low", "high", "n"),
    *MEMORY_PARTS,
    *("meter", "errors", "worst", "along", "flags"),
)


def render(
    run: Run,
    *,
    baseline: str | None = None,
    series: Sequence[Series] = (),
    baselines: Mapping[str, str] | None = None,
    operators: Sequence[Operator] = (),
) -> str:
    """Return the report of a run as one HTML page.

    Args:
        run: The run, with its measurements.
        baseline: The implementation that speed-ups are over; by default the one with the most times and,
            of several, the one that is fastest where the panels begin. A name that the run does not have
            counts as none.
        series: What the store's runs found of its cases.
        baselines: Runs of the store by their names.
        operators: Those whose complexity and cost are known.
    """
    known = {operator.name: operator for operator in operators}
    found = panels(frame([run]))
    names = _names(run.measurements)
    chosen = baseline if baseline in names else default_baseline(found)
    axis = found[0].axis if found else "T"
    plotly, script = get_plotlyjs(), "\n".join(map(html.asset, SCRIPTS))
    return html.template("page.html.j2").render(
        run=run,
        title=_title(run),
        record=json.dumps(_summary(run)),
        command=_command(run),
        tally=_tally(run),
        machine=_machine(run.environment),
        doubts=words.doubts(run, found),
        axis=axis,
        baseline=chosen,
        verdicts=[_verdict(panel, chosen, known) for panel in found],
        means=means(found, chosen),
        heatmap=any(len(group) > 1 for group in alike(found)) and chosen is not None,
        filters=_filters(found),
        fixed=_fixed(found),
        implementations=styles(names),
        members=_members(names),
        figures=figures(run.measurements),
        MANY=MANY,
        columns=_varying(run.measurements),
        constants=_constants(run.measurements),
        statuses=sorted({str(row.status) for row in run.measurements}),
        facts=_facts(run),
        history=history.history(run, series, baselines or {}),
        width=history.WIDTH,
        height=history.HEIGHT,
        data=html.embedded(_data(run, found, names, chosen, axis)),
        palette=[("light", LIGHT), ("dark", DARK)],
        css=html.asset("page.css"),
        plotly=Markup(plotly),
        script=Markup(script),
        hashes=[html.hashed(plotly), html.hashed(script)],
        format=format,
    )


def _summary(run: Run) -> dict[str, str]:
    """Return what an index of reports says of a run; see `linbench.report.index`."""
    return {
        "run": run.id,
        "title": _title(run),
        "created_at": run.created_at,
        "tally": _tally(run),
        "machine": _machine(run.environment),
        "command": _command(run) or "",
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
    rows = run.measurements
    plugins = [word for plugin in run.plan.get("plugins", ()) for word in ("--plugin", plugin)]
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
        "figures": [figure | {"layout": layout(figure, axis)} for figure in figures(rows)],
        "columns": varying,
        "cases": [_case(case) for case in cases],
        "memoryParts": MEMORY_PARTS,
        "rowColumns": ROW_COLUMNS,
        "rows": [_row(row, names.index(row.implementation), case_number[row.case]) for row in rows],
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
    """Return a row in the order of `ROW_COLUMNS`; what is missing or not finite is null."""
    time, memory = row.time, row.memory
    worst = row.errors.get(row.worst_tensor or "")
    return [
        implementation,
        case,
        str(row.status),
        row.reason or "",
        _number(time.median_s) if time else None,
        _number(time.ci_low_s) if time else None,
        _number(time.ci_high_s) if time else None,
        time.n if time else 0,
        *(getattr(memory, f"{part}_bytes") if memory else None for part in MEMORY_PARTS),
        memory.meter if memory else None,
        {
            name: [_number(error.rel_l2), _number(error.budget), error.nonfinite]
            for name, error in row.errors.items()
        },
        row.worst_tensor,
        [None if part is None else _number(part, 3) for part in worst.by_position] if worst else [],
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


def _title(run: Run) -> str:
    grid = run.plan.get("grid")
    name = grid.get("name") if isinstance(grid, Mapping) else grid
    return "Axes as typed" if name == "axes" else str(name or "Run")


def _command(run: Run) -> str | None:
    """Return the command that makes the run again; None for a run that no command began."""
    typed = run.plan.get("command")
    return shlex.join(typed) if typed else None


def _tally(run: Run) -> str:
    counted = Counter(str(row.status) for row in run.measurements)
    parts = [f"{format.count(number)} {status}" for status, number in counted.most_common()]
    return " · ".join([format.plural(len(run.measurements), "row"), *parts])


def _machine(environment: Mapping[str, Any]) -> str:
    """Return the machine in one line: its processor, GPUs, torch and commit, as far as they are known."""
    host, git = environment.get("host") or {}, environment.get("git") or {}
    gpus = Counter(str(gpu.get("name")) for gpu in environment.get("gpus") or ())
    torch = (environment.get("libraries") or {}).get("torch")
    parts = [
        host.get("cpu"),
        format.plural(host["cores"], "core") if "cores" in host else None,
        ", ".join(f"{number} {format.TIMES} {name}" for name, number in gpus.items()) or "no GPU",
        f"torch {torch}" if torch else None,
        f"commit {str(git['commit'])[:10]}" if git.get("commit") else None,
    ]
    return " · ".join(part for part in parts if part)


def _facts(run: Run) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the environment, the timers and the plan as titled lists of names and texts."""
    timers = Counter(row.time.timer for row in run.measurements if row.time)
    meters = Counter(row.memory.meter for row in run.measurements if row.memory)
    measured = {"started": run.created_at, "finished": run.finished_at or "no"} | {
        name: [f"{text} ({format.plural(number, 'row')})" for text, number in sorted(counted.items())]
        for name, counted in (("timer", timers), ("memory meter", meters))
    }
    sections: dict[str, Any] = {"measured": measured}
    plain: dict[str, Any] = {}
    for name, value in run.environment.items():
        if isinstance(value, Mapping):
            sections[name] = value
        elif isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
            sections |= {f"{name} {number}": part for number, part in enumerate(value)}
        else:
            plain[name] = value
    sections |= {"other": plain, "plan": run.plan}
    return [(title, lines) for title, part in sections.items() if (lines := list(_lines(part, "")))]


def _lines(part: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield each value of a nested mapping with its dotted name."""
    for name, value in part.items():
        if isinstance(value, Mapping) and value:
            yield from _lines(value, f"{prefix}{name}.")
        elif name.endswith("_bytes") and isinstance(value, int):
            yield prefix + name.removesuffix("_bytes"), format.size(value)
        else:
            yield prefix + name, _text(value)


def _text(value: Any) -> str:
    """Return a value of the environment as people read it."""
    if value is None or value in ([], {}, ""):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    return str(value)


def _number(value: float, digits: int = 9) -> float | None:
    """Return a number with so many significant digits, or None if it is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None
