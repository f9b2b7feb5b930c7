"""Gate: what was compared, for a pull request: Markdown, JUnit XML and GitHub's warning lines.

Names, reasons and paths come from the code under test: each is escaped for where it goes.
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


def ranked(found: Sequence[ComparisonResult]) -> list[ComparisonResult]:
    """Return what was compared, the worst first: regressions, undecided, faster, the same, not compared."""
    return sorted(found, key=_rank)


def _rank(found: ComparisonResult) -> tuple[int, float, str]:
    effect = found.decision.effect if found.decision else math.inf
    if found.regressions:
        return 0, -effect, words.subject(found)
    if found.is_open:
        return 1, -abs(effect), words.subject(found)
    return (2 if found.decision else 3), -abs(effect) if found.decision else 0.0, words.subject(found)


def markdown(found: Sequence[ComparisonResult], base: str) -> str:
    """Return a summary, the worst case first, of at most 900 kB; what does not fit is counted."""
    regressions = sum(bool(each.regressions) for each in found)
    tally = ", ".join(
        f"{number} {answer}" for answer, number in Counter(each.answer for each in found).items()
    )
    head = [
        f"### linbench: {plural(regressions, 'regression') if regressions else 'no regression'}",
        "",
        f"Against {code(base)}: {plural(len(found), 'case')} compared{': ' if tally else ''}{tally}.",
        "",
    ]
    if not found:
        return "\n".join([*head, "No implementation is made of a file that changed.", ""])
    lines = [*head, f"| {' | '.join(HEADER)} |", "|---" * len(HEADER) + "|"]
    room = MOST_BYTES - sum(len(line.encode()) + 1 for line in lines) - 100
    for place, each in enumerate(ranked(found)):
        row = _row(each)
        room -= len(row.encode()) + 1
        if room < 0:
            lines += ["", f"{plural(len(found) - place, 'further row')} left out."]
            break
        lines.append(row)
    return "\n".join([*lines, ""])


def _row(found: ComparisonResult) -> str:
    decision = f"**{', '.join(found.regressions)}**" if found.regressions else found.answer
    texts = (
        words.subject(found),
        words.effect(found),
        words.evidence(found),
        words.times(found),
        words.memory(found),
        words.error(found),
    )
    return f"| {' | '.join([decision, *(code(text) for text in texts)])} |"


def junit(found: Sequence[ComparisonResult]) -> str:
    """Return JUnit XML: a regression is a failure; undecided or not compared is skipped."""
    suite = ElementTree.Element(
        "testsuite",
        name="linbench",
        tests=str(len(found)),
        failures=str(sum(bool(each.regressions) for each in found)),
        errors="0",
        skipped=str(sum(_is_skipped(each) for each in found)),
    )
    for each in ranked(found):
        operator = each.comparison.b.operator
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=printable(f"linbench.{operator}"),
            name=printable(words.subject(each)),
        )
        if each.regressions:
            failure = ElementTree.SubElement(case, "failure", message=", ".join(each.regressions))
            failure.text = printable(words.line(each))
        elif _is_skipped(each):
            ElementTree.SubElement(case, "skipped", message=printable(f"{each.answer}: {words.effect(each)}"))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=False)


def _is_skipped(found: ComparisonResult) -> bool:
    return not found.regressions and (found.is_open or found.decision is None)


def warnings(found: Sequence[ComparisonResult]) -> list[str]:
    """Return GitHub's workflow command for each regression and each case that is undecided, worst first."""
    lines = []
    for each in ranked(found):
        if each.regressions or each.is_open:
            title = _property(f"linbench: {', '.join(each.regressions) or each.answer}")
            lines.append(f"::warning title={title}::{_message(words.line(each))}")
    return lines


def _message(text: str) -> str:
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
