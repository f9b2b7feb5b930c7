"""Versus: two stored runs side by side on one page, which can raise a suspicion and prove nothing."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any, Final

from linbench.analysis.panel import Panel, panels
from linbench.compare.stored import Suspicion, other_machine, suspicions
from linbench.core.errors import UsageError
from linbench.core.measurement import FAILURES, Measurement
from linbench.core.run import Run
from linbench.report import words
from linbench.report.document import document, finite, timing
from linbench.report.facts import command, facts, machine, title
from linbench.report.figures import layout, styles
from linbench.store.table import frame
from linbench.text.format import TIMES, count, digits, plural

SCRIPTS: Final = (
    *("numbers.js", "pairs.js", "canvas.js", "traces.js"),
    *("view.js", "pager.js", "versus.js"),
)
FIGURES: Final[tuple[dict[str, Any], ...]] = (
    {
        "id": "ratio",
        "title": "Time of B over time of A",
        "note": "Above 1 B takes longer; with what both intervals allow. Filled: suspect; hollow: no sign.",
        "y": "time of B / time of A",
    },
    {
        "id": "both",
        "title": "Time of both",
        "note": "A dashed and hollow, B solid; median of one call with its 95% interval; lower is better.",
        "y": "time of one call",
    },
)
PAIR_COLUMNS: Final = ("implementation", "case", "x", "answer", "ratio", "low", "high", "a", "b")
SIDE_COLUMNS: Final = (
    *("status", "reason", "median", "low", "high", "n"),
    *("extra", "meter", "worst", "error", "flags"),
)
NO_PROOF: Final = (
    "Stored runs prove nothing: their processes met other minutes, and identical code differs by more than "
    "the intervals say. A row is suspect at the most; linbench compare measures both sides in turns."
)
OTHER_MACHINE: Final = (
    "The runs come from different processors, GPUs or drivers: a ratio tells machines apart as well as code."
)
Key = tuple[str, str]


def render_versus(a: Run, b: Run) -> str:
    """Return two runs side by side as one HTML page: what differs, and every row that both have.

    Args:
        a: The first run, with its measurements.
        b: The second.

    Raises:
        UsageError: No implementation was measured at the same case in both.
    """
    found = list(suspicions(a, b, force=True))
    if not found:
        raise UsageError(_nothing_shared(a, b))
    shared = {_key(each.b) for each in found}
    names = sorted({each.b.implementation for each in found})
    shown = panels(frame([replace(b, measurements=tuple(each.b for each in found))]))
    titles = list(dict.fromkeys((title(a), title(b))))
    return document(
        "versus.html.j2",
        SCRIPTS,
        _data(found, names, shown),
        title=f"A and B: {' and '.join(titles)}",
        tab=f"{a.id} and {b.id}",
        record=json.dumps(_summary(a, b, found, titles)),
        command=shlex.join(("linbench", "report", "--compare", a.id, b.id)),
        runs=[(name, run, machine(run.environment)) for name, run in (("A", a), ("B", b))],
        doubts=_doubts(a, b),
        findings=_findings(found),
        differences=differences(a, b),
        implementations=styles(names),
        figures=FIGURES,
        panels=[words.label(panel.settings) for panel in shown],
        alone=[
            (name, [row for row in run.measurements if _key(row) not in shared])
            for name, run in (("A", a), ("B", b))
        ],
        failures=FAILURES,
    )


def differences(a: Run, b: Run) -> list[tuple[str, str, str, str]]:
    """Return what is known otherwise of A than of B: its title, its name, and the text of each."""
    one, other = _known(a), _known(b)
    keys = dict.fromkeys((*one, *other))
    texts = ((*key, one.get(key, "none"), other.get(key, "none")) for key in keys)
    return [found for found in texts if found[2] != found[3]]


def _known(run: Run) -> dict[Key, str]:
    """Return each fact of a run by title and name, its flags among them."""
    flags = Counter(flag for row in run.measurements for flag in row.flags)
    known = {(name, line): text for name, lines in facts(run) for line, text in lines}
    return known | {("flags", name): plural(number, "row") for name, number in sorted(flags.items())}


def _key(row: Measurement) -> Key:
    return row.implementation, row.case.id


def _data(found: Sequence[Suspicion], names: list[str], shown: Sequence[Panel]) -> dict[str, Any]:
    """Return what the page's script draws from: every pair once, and the pairs of each panel by number."""
    axis = shown[0].axis
    return {
        "axis": axis,
        "implementations": styles(names),
        "failures": sorted(FAILURES),
        "figures": [figure | {"layout": layout(figure, axis)} for figure in FIGURES],
        "pairColumns": PAIR_COLUMNS,
        "sideColumns": SIDE_COLUMNS,
        "pairs": [_pair(each, names, axis) for each in found],
        "panels": [
            {"label": words.label(panel.settings), "pairs": [int(number) for number in panel.rows.index]}
            for panel in shown
        ],
    }


def _pair(found: Suspicion, names: list[str], axis: str) -> list[Any]:
    """Return a pair in the order of `PAIR_COLUMNS`; what is missing or not finite is null."""
    changes = (found.effect, found.low, found.high)
    case = found.b.case
    return [
        names.index(found.b.implementation),
        str(case),
        getattr(case, axis),
        found.answer,
        *(None if change is None else finite(1 + change) for change in changes),
        _side(found.a),
        _side(found.b),
    ]


def _side(row: Measurement) -> list[Any]:
    """Return a row in the order of `SIDE_COLUMNS`."""
    memory, worst = row.memory, row.worst_tensor
    return [
        str(row.status),
        row.reason or "",
        *timing(row.time),
        memory.extra_bytes if memory else None,
        memory.meter if memory else None,
        worst,
        finite(row.errors[worst].rel_l2, 3) if worst else None,
        list(row.flags),
    ]


def _doubts(a: Run, b: Run) -> list[str]:
    """Return what lowers trust in the comparison, and in each run."""
    own = [
        f"{name}: {doubt}"
        for name, run in (("A", a), ("B", b))
        for doubt in words.doubts(run, panels(frame([run])))
    ]
    return [NO_PROOF, *([OTHER_MACHINE] if other_machine(a, b) else []), *own]


def _findings(found: Sequence[Suspicion]) -> list[str]:
    """Return how the rows that both have compare, in sentences; the first is the headline."""
    suspect = [each for each in found if each.suspect]
    slower = sum(each.effect is not None and each.effect > 0 for each in suspect)
    faster = sum(each.effect is not None and each.effect < 0 for each in suspect)
    ended = len(suspect) - slower - faster
    said = [
        f"{plural(len(found), 'row')} compared, {count(len(suspect))} suspect: "
        f"{count(slower)} slower in B, {count(faster)} faster, {count(ended)} ended otherwise."
    ]
    ratios = [1 + each.effect for each in found if each.effect is not None]
    if ratios:
        ends = f"{digits(min(ratios))}{TIMES} to {digits(max(ratios))}{TIMES}"
        said.append(f"B takes {ends} the time of A, in the middle {digits(median(ratios))}{TIMES}.")
    if ended:
        said += [
            f"{each.b.implementation} {each.b.case}: {each.a.status} in A, {each.b.status} in B."
            for each in suspect
            if each.effect is None
        ]
    timed = [each for each in found if each.a.time and each.b.time]
    if without := sum(each.effect is None for each in timed):
        said.append(
            f"{plural(without, 'row')} timed in both without a ratio: another timer, or a time of zero."
        )
    return said


def _summary(a: Run, b: Run, found: Sequence[Suspicion], titles: Sequence[str]) -> dict[str, str]:
    """Return what an index of reports says of the page; see `linbench.report.index`."""
    machines = dict.fromkeys((machine(a.environment), machine(b.environment)))
    suspect = sum(each.suspect for each in found)
    return {
        "run": f"{a.id} and {b.id}",
        "title": f"Two runs of {' and '.join(titles)}",
        "created_at": max(a.created_at, b.created_at),
        "tally": f"{plural(len(found), 'row')} compared · {count(suspect)} suspect",
        "machine": " and ".join(machines),
        "command": shlex.join(("linbench", "report", "--compare", a.id, b.id)),
    }


def _nothing_shared(a: Run, b: Run) -> str:
    again = command(a)
    advice = (
        f"`{again}` measures again what {a.id} has" if again else "`linbench show RUN` lists what each has"
    )
    return f"runs {a.id} and {b.id} have no implementation at the same case in common; {advice}"
