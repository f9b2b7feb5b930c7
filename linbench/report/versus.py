"""Versus: two stored runs side by side on one page, which can suggest a change but not prove it."""

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
    "Two stored runs cannot prove a change: they ran at different times, and even identical code differs "
    "between runs by more than the intervals. Rows are at most suspect; to measure both sides in "
    "alternation, use linbench compare."
)
OTHER_MACHINE: Final = (
    "The runs are from different processors, GPUs or drivers: a ratio can be due to the machine or the code."
)
Key = tuple[str, str]


@dataclass(frozen=True)
class RunSide:
    """One of the two runs.

    Attributes:
        name: A or B.
        run: The id of the run.
        created_at: The start of the run, ISO 8601 in UTC.
        machine: The machine of the run.
        unmatched: The rows without a counterpart in the other run.
    """

    name: str
    run: str
    created_at: str
    machine: str
    unmatched: tuple[UnmatchedRow, ...]


@dataclass(frozen=True)
class UnmatchedRow:
    """A row without a counterpart in the other run.

    Attributes:
        implementation: The full name of the implementation.
        case: The case, as text.
        status: The status of the row.
        failed: Whether the row counts as a failure.
        time: The time with its interval; empty if there is none.
        reason: The reason why there is no time.
    """

    implementation: str
    case: str
    status: str
    failed: bool
    time: str
    reason: str


@dataclass(frozen=True)
class VersusData:
    """The content of the page of two runs.

    Attributes:
        summary: The entry of the page in an index of reports.
        title: The heading of the page.
        runs: A and B.
        doubts: The reasons to distrust the comparison or a run, one sentence each.
        findings: The comparison of the shared rows, one sentence each.
        differences: The recorded facts that differ: section, name, text of A and text of B.
        drawing: The data that the script draws.
    """

    summary: Summary
    title: str
    runs: tuple[RunSide, RunSide]
    doubts: tuple[str, ...]
    findings: tuple[str, ...]
    differences: tuple[tuple[str, str, str, str], ...]
    drawing: Pairs


def render_versus(a: Run, b: Run) -> str:
    """Return two runs side by side as one HTML page: their differences, and every shared row.

    Args:
        a: The first run, with its measurements.
        b: The second.

    Raises:
        UsageError: No implementation was measured at the same case in both.
    """
    report = versus_data(a, b)
    return document("versus.html.j2", "versus", report.summary, {"data": report.drawing}, report)


def versus_data(a: Run, b: Run) -> VersusData:
    """Return the content of the page of two runs; see `render_versus`."""
    shared_rows = list(suspicions(a, b, force=True))
    if not shared_rows:
        raise UsageError(_no_shared_case(a, b))
    shared_keys = {_key(suspicion.b) for suspicion in shared_rows}
    pair_panels = panels(frame([replace(b, measurements=tuple(suspicion.b for suspicion in shared_rows))]))
    titles = list(dict.fromkeys((title(a), title(b))))
    return VersusData(
        summary=_summary(a, b, shared_rows, titles),
        title=f"A and B: {' and '.join(titles)}",
        runs=(_side("A", a, shared_keys), _side("B", b, shared_keys)),
        doubts=tuple(_doubts(a, b)),
        findings=tuple(_findings(shared_rows)),
        differences=tuple(differences(a, b)),
        drawing=pairs(shared_rows, pair_panels),
    )


def _side(name: str, run: Run, shared_keys: Set[Key]) -> RunSide:
    unmatched = (row for row in run.measurements if _key(row) not in shared_keys)
    return RunSide(name, run.id, run.created_at, machine(run.environment), tuple(map(_unmatched, unmatched)))


def _unmatched(row: Measurement) -> UnmatchedRow:
    failed, reason = row.status in FAILURES, row.reason or "not timed"
    return UnmatchedRow(row.implementation, str(row.case), str(row.status), failed, time_text(row), reason)


def differences(a: Run, b: Run) -> list[tuple[str, str, str, str]]:
    """Return the recorded facts that differ between A and B: section, name, text of A and text of B."""
    facts_a, facts_b = _flat_facts(a), _flat_facts(b)
    keys = dict.fromkeys((*facts_a, *facts_b))
    entries = ((*key, facts_a.get(key, "none"), facts_b.get(key, "none")) for key in keys)
    return [entry for entry in entries if entry[2] != entry[3]]


def _flat_facts(run: Run) -> dict[Key, str]:
    """Return the facts of a run, including its flags, by section and name."""
    flags = Counter(flag for row in run.measurements for flag in row.flags)
    texts = {(name, line): text for name, lines in facts(run) for line, text in lines}
    return texts | {("flags", name): plural(number, "row") for name, number in sorted(flags.items())}


def _key(row: Measurement) -> Key:
    return row.implementation, row.case.id


def _doubts(a: Run, b: Run) -> list[str]:
    """Return the reasons to distrust the comparison or a run, one sentence each."""
    run_doubts = [
        f"{name}: {doubt}"
        for name, run in (("A", a), ("B", b))
        for doubt in words.doubts(run, panels(frame([run])))
    ]
    return [NO_PROOF, *([OTHER_MACHINE] if machine_difference(a, b) else []), *run_doubts]


def _findings(shared_rows: Sequence[Suspicion]) -> list[str]:
    """Return the comparison of the shared rows, in sentences; the first is the headline."""
    suspect = [suspicion for suspicion in shared_rows if suspicion.suspect]
    slower = sum(suspicion.effect is not None and suspicion.effect > 0 for suspicion in suspect)
    faster = sum(suspicion.effect is not None and suspicion.effect < 0 for suspicion in suspect)
    changed_status = len(suspect) - slower - faster
    sentences = [
        f"{plural(len(shared_rows), 'row')} compared, {count(len(suspect))} suspect: "
        f"{count(slower)} slower in B, {count(faster)} faster, {count(changed_status)} with another status."
    ]
    ratios = [1 + suspicion.effect for suspicion in shared_rows if suspicion.effect is not None]
    if ratios:
        ends = f"{ratio(min(ratios))} to {ratio(max(ratios))}"
        sentences.append(f"B takes {ends} the time of A; the median is {ratio(median(ratios))}.")
    if changed_status:
        sentences += [
            f"{row.b.implementation} {row.b.case}: {row.a.status} in A, {row.b.status} in B."
            for row in suspect
            if row.effect is None
        ]
    timed_rows = [suspicion for suspicion in shared_rows if suspicion.a.time and suspicion.b.time]
    if without := sum(suspicion.effect is None for suspicion in timed_rows):
        sentences.append(
            f"{plural(without, 'row')} timed in both runs without a ratio: timers differ or a time is 0."
        )
    return sentences


def _summary(a: Run, b: Run, shared_rows: Sequence[Suspicion], titles: Sequence[str]) -> Summary:
    """Return the entry of the page in an index of reports."""
    machines = dict.fromkeys((machine(a.environment), machine(b.environment)))
    suspect = sum(suspicion.suspect for suspicion in shared_rows)
    return Summary(
        run=f"{a.id} and {b.id}",
        title=f"Two runs of {' and '.join(titles)}",
        created_at=max(a.created_at, b.created_at),
        tally=f"{plural(len(shared_rows), 'row')} compared · {count(suspect)} suspect",
        machine=" and ".join(machines),
        command=shlex.join(("linbench", "report", "--compare", a.id, b.id)),
    )


def _no_shared_case(a: Run, b: Run) -> str:
    rerun = command(a)
    advice = f"`{rerun}` repeats {a.id}" if rerun else "`linbench show RUN` lists the rows of a run"
    return f"runs {a.id} and {b.id} have no implementation at the same case in common; {advice}"
