"""Versus: two stored runs side by side on one page, which can raise a suspicion and prove nothing."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from linbench.analysis.panel import panels
from linbench.compare.stored import Suspicion, machine_difference, suspicions
from linbench.core.errors import UsageError
from linbench.core.measurement import FAILURES, Measurement
from linbench.core.run import Run
from linbench.report import words
from linbench.report.document import document
from linbench.report.facts import command, facts, machine, title
from linbench.report.pairs import Pairs, pairs
from linbench.report.summary import Summary
from linbench.report.table import time_text
from linbench.store.table import frame
from linbench.text.format import count, plural, ratio

NO_PROOF: Final = (
    "Stored runs prove nothing: their processes met other minutes, and identical code differs by more than "
    "the intervals say. A row is suspect at the most; linbench compare measures both sides in turns."
)
OTHER_MACHINE: Final = (
    "The runs come from different processors, GPUs or drivers: a ratio tells machines apart as well as code."
)
Key = tuple[str, str]


@dataclass(frozen=True)
class OneRun:
    """One of the two runs.

    Attributes:
        name: A or B.
        run: Its id.
        created_at: When it began, ISO 8601 in UTC.
        machine: Where it ran.
        alone: The rows that the other has not.
    """

    name: str
    run: str
    created_at: str
    machine: str
    alone: tuple[AloneRow, ...]


@dataclass(frozen=True)
class AloneRow:
    """A row that one run has and the other has not.

    Attributes:
        implementation: Its full name.
        case: What was measured.
        status: How it ended.
        failed: Whether it counts as a failure.
        time: Its time with the interval; empty if it has none.
        reason: Why it has none.
    """

    implementation: str
    case: str
    status: str
    failed: bool
    time: str
    reason: str


@dataclass(frozen=True)
class VersusData:
    """What the page of two runs says.

    Attributes:
        summary: What an index of reports says of the page.
        title: The head of the page.
        runs: A and B.
        doubts: What lowers trust in the comparison, and in each run.
        findings: How the rows that both have compare, a sentence each.
        differences: What is known otherwise of A than of B: its title, its name, and the text of each.
        drawing: What the script draws from.
    """

    summary: Summary
    title: str
    runs: tuple[OneRun, OneRun]
    doubts: tuple[str, ...]
    findings: tuple[str, ...]
    differences: tuple[tuple[str, str, str, str], ...]
    drawing: Pairs


def render_versus(a: Run, b: Run) -> str:
    """Return two runs side by side as one HTML page: what differs, and every row that both have.

    Args:
        a: The first run, with its measurements.
        b: The second.

    Raises:
        UsageError: No implementation was measured at the same case in both.
    """
    report = versus_data(a, b)
    return document("versus.html.j2", "versus", report.summary, {"data": report.drawing}, report)


def versus_data(a: Run, b: Run) -> VersusData:
    """Return what the page of two runs says; see `render_versus`."""
    found = list(suspicions(a, b, force=True))
    if not found:
        raise UsageError(_nothing_shared(a, b))
    shared = {_key(each.b) for each in found}
    shown = panels(frame([replace(b, measurements=tuple(each.b for each in found))]))
    titles = list(dict.fromkeys((title(a), title(b))))
    return VersusData(
        summary=_summary(a, b, found, titles),
        title=f"A and B: {' and '.join(titles)}",
        runs=(_one_run("A", a, shared), _one_run("B", b, shared)),
        doubts=tuple(_doubts(a, b)),
        findings=tuple(_findings(found)),
        differences=tuple(differences(a, b)),
        drawing=pairs(found, shown),
    )


def _one_run(name: str, run: Run, shared: Set[Key]) -> OneRun:
    alone = (row for row in run.measurements if _key(row) not in shared)
    return OneRun(name, run.id, run.created_at, machine(run.environment), tuple(map(_alone, alone)))


def _alone(row: Measurement) -> AloneRow:
    failed, reason = row.status in FAILURES, row.reason or "not timed"
    return AloneRow(row.implementation, str(row.case), str(row.status), failed, time_text(row), reason)


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


def _doubts(a: Run, b: Run) -> list[str]:
    """Return what lowers trust in the comparison, and in each run."""
    own = [
        f"{name}: {doubt}"
        for name, run in (("A", a), ("B", b))
        for doubt in words.doubts(run, panels(frame([run])))
    ]
    return [NO_PROOF, *([OTHER_MACHINE] if machine_difference(a, b) else []), *own]


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
        ends = f"{ratio(min(ratios))} to {ratio(max(ratios))}"
        said.append(f"B takes {ends} the time of A, in the middle {ratio(median(ratios))}.")
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


def _summary(a: Run, b: Run, found: Sequence[Suspicion], titles: Sequence[str]) -> Summary:
    """Return what an index of reports says of the page."""
    machines = dict.fromkeys((machine(a.environment), machine(b.environment)))
    suspect = sum(each.suspect for each in found)
    return Summary(
        run=f"{a.id} and {b.id}",
        title=f"Two runs of {' and '.join(titles)}",
        created_at=max(a.created_at, b.created_at),
        tally=f"{plural(len(found), 'row')} compared · {count(suspect)} suspect",
        machine=" and ".join(machines),
        command=shlex.join(("linbench", "report", "--compare", a.id, b.id)),
    )


def _nothing_shared(a: Run, b: Run) -> str:
    again = command(a)
    advice = (
        f"`{again}` measures again what {a.id} has" if again else "`linbench show RUN` lists what each has"
    )
    return f"runs {a.id} and {b.id} have no implementation at the same case in common; {advice}"
