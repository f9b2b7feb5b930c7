"""Gate: the results of a comparison for a pull request, as Markdown, JUnit XML and GitHub warnings.

Names, reasons and paths come from the code under test: each is escaped for its destination.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree

from linbench.compare.suite import ComparisonResult
from linbench.report import comparison as words
from linbench.text.format import plural
from linbench.text.markdown import code
from linbench.text.terminal import printable

MOST_BYTES: Final = 900_000
HEADER: Final = ("decision", "case", "effect", "evidence", "time", "memory", "error")


def rank_results(results: Sequence[ComparisonResult]) -> list[ComparisonResult]:
    """Return the results, the worst first: regressions, undecided, faster, the same, not compared."""
    return sorted(results, key=_rank)


def _rank(result: ComparisonResult) -> tuple[int, float, str]:
    effect = result.decision.effect if result.decision else math.inf
    if result.regressions:
        return 0, -effect, words.subject(result)
    if result.is_open:
        return 1, -abs(effect), words.subject(result)
    return (2 if result.decision else 3), -abs(effect) if result.decision else 0.0, words.subject(result)


def markdown(results: Sequence[ComparisonResult], base: str) -> str:
    """Return a summary of at most 900 kB, the worst case first; the rows that do not fit are counted."""
    regressions = sum(bool(result.regressions) for result in results)
    tally = ", ".join(
        f"{number} {answer}" for answer, number in Counter(result.answer for result in results).items()
    )
    head = [
        f"### linbench: {plural(regressions, 'regression') if regressions else 'no regression'}",
        "",
        f"Against {code(base)}: {plural(len(results), 'case')} compared{': ' if tally else ''}{tally}.",
        "",
    ]
    if not results:
        return "\n".join([*head, "No implementation depends on a changed file.", ""])
    lines = [*head, f"| {' | '.join(HEADER)} |", "|---" * len(HEADER) + "|"]
    room = MOST_BYTES - sum(len(line.encode()) + 1 for line in lines) - 100
    for index, result in enumerate(rank_results(results)):
        row = _row(result)
        room -= len(row.encode()) + 1
        if room < 0:
            lines += ["", f"{plural(len(results) - index, 'further row')} left out."]
            break
        lines.append(row)
    return "\n".join([*lines, ""])


def _row(result: ComparisonResult) -> str:
    decision = f"**{', '.join(result.regressions)}**" if result.regressions else result.answer
    texts = (
        words.subject(result),
        words.effect(result),
        words.evidence(result),
        words.times(result),
        words.memory(result),
        words.error(result),
    )
    return f"| {' | '.join([decision, *(code(text) for text in texts)])} |"


def junit(results: Sequence[ComparisonResult]) -> str:
    """Return JUnit XML: a regression is a failure; undecided or not compared is skipped."""
    suite = ElementTree.Element(
        "testsuite",
        name="linbench",
        tests=str(len(results)),
        failures=str(sum(bool(result.regressions) for result in results)),
        errors="0",
        skipped=str(sum(_is_skipped(result) for result in results)),
    )
    for result in rank_results(results):
        operator = result.comparison.b.operator
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=printable(f"linbench.{operator}"),
            name=printable(words.subject(result)),
        )
        if result.regressions:
            failure = ElementTree.SubElement(case, "failure", message=", ".join(result.regressions))
            failure.text = printable(words.line(result))
        elif _is_skipped(result):
            ElementTree.SubElement(
                case, "skipped", message=printable(f"{result.answer}: {words.effect(result)}")
            )
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=False)


def _is_skipped(result: ComparisonResult) -> bool:
    return not result.regressions and (result.is_open or result.decision is None)


def warnings(results: Sequence[ComparisonResult]) -> list[str]:
    """Return GitHub's workflow command for each regression and each undecided case, the worst first."""
    lines = []
    for result in rank_results(results):
        if result.regressions or result.is_open:
            title = _property(f"linbench: {', '.join(result.regressions) or result.answer}")
            lines.append(f"::warning title={title}::{_message(words.line(result))}")
    return lines


def _message(text: str) -> str:
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
