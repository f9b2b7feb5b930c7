"""The summary of a gate: ranked, limited in size, with all text from the code under test escaped."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from linbench.compare.suite import ComparisonResult
from linbench.compare.turns import Comparison, FullCheckResult
from linbench.core.case import Case
from linbench.core.measurement import Memory, Status
from linbench.execution.schedule import Job
from linbench.report import gate
from linbench.statistics.decision import Answer, Decision

HOSTILE = "x|y</code><img src=x onerror=alert(1)>`[a](http://b) www.c @team\n::error::\x1b[31m&]]>\ud800%0A"


def comparison_result(name="linear/x", answer=Answer.SAME, effect=0.0, reason=None, extra=(100, 100)):
    job = Job(name, "linear", Case(1, 16, 1, 4, 4))
    a, b = (FullCheckResult(Status.OK, None, {"o": 1e-7}, Memory(size, size, "allocator")) for size in extra)
    if reason is not None:
        return ComparisonResult(Comparison(job, job), a, FullCheckResult(Status.WRONG, reason))
    decision = Decision(answer, effect, effect - 0.01, effect + 0.01, 0.001, 10, 0.02)
    return ComparisonResult(Comparison(job, job), a, b, decision, 1e-3, 1e-3 * (1 + effect))


RESULTS = [
    comparison_result("linear/same"),
    comparison_result("linear/faster", Answer.FASTER, -0.2),
    comparison_result("linear/slow", Answer.SLOWER, 0.05),
    comparison_result("linear/undecided", Answer.UNDECIDED, 0.3),
    comparison_result("linear/slowest", Answer.SLOWER, 0.5),
    comparison_result("linear/wrong", reason="o is wrong"),
    comparison_result("linear/heavy", extra=(1000, 2000)),
]
ORDER = ["wrong", "slowest", "slow", "heavy", "undecided", "faster", "same"]


def test_the_worst_result_is_first():
    rows = [line for line in gate.markdown(RESULTS, "main").splitlines() if line.startswith("| ")][1:]
    assert [re.search(r"linear/(\w+)", row)[1] for row in rows] == ORDER
    assert rows[0].startswith("| **wrong** | ")
    assert "B is wrong: o is wrong" in rows[0]
    assert "### linbench: 4 regressions" in gate.markdown(RESULTS, "main")
    assert rows[2].count("|") == len(gate.HEADER) + 1


def test_an_empty_comparison_has_a_summary():
    text = gate.markdown([], "main")
    assert "no regression" in text
    assert "No implementation depends on a changed file" in text


def test_the_summary_is_limited_and_counts_the_rows_left_out():
    text = gate.markdown([comparison_result(f"linear/{'x' * 500}{index}") for index in range(4000)], "main")
    assert 800_000 < len(text.encode()) <= 900_000
    left_out = int(re.search(r"([\d,]+) further rows left out", text)[1].replace(",", ""))
    assert left_out + text.count("\n| same") == 4000


def test_hostile_text_stays_text_in_markdown():
    text = gate.markdown([comparison_result(f"linear/{HOSTILE}", reason=HOSTILE)], HOSTILE)
    rest = re.sub(r"<code>[^<>`\[\]@!\\_~]*</code>", "", text)  # the pattern of docs/ci/linbench-comment.yml
    assert not set("<>`[]@!\\_~\x1b\ud800") & set(rest)
    assert not re.search(r"https?:|www\.", rest)
    assert not set("\x1b\ud800") & set(text)
    table = [line for line in text.splitlines() if line.startswith("| **")]
    assert len(table) == 1
    assert table[0].count("|") == len(gate.HEADER) + 1
    assert "\n::" not in text


def test_hostile_text_stays_text_in_xml():
    text = gate.junit([comparison_result(f"linear/{HOSTILE}", reason=HOSTILE)])
    (case,) = ElementTree.fromstring(text.encode())
    assert "<img src=x" in case.attrib["name"]
    assert [child.tag for child in case] == ["failure"]
    assert "\x1b" not in text


def test_hostile_text_stays_in_its_workflow_command():
    lines = gate.warnings([comparison_result(f"linear/{HOSTILE}", reason=HOSTILE)])
    assert len(lines) == 1
    assert lines[0].startswith("::warning title=linbench%3A wrong::")
    assert not set("\n\r\x1b") & set(lines[0])
    assert "%250A" in lines[0]


def test_xml_counts_failures_and_skips():
    suite = ElementTree.fromstring(gate.junit(RESULTS))
    assert (suite.attrib["tests"], suite.attrib["failures"], suite.attrib["skipped"]) == ("7", "4", "1")
    tags = {case.attrib["name"].split()[0].split("/")[1]: [child.tag for child in case] for case in suite}
    assert tags == {
        "wrong": ["failure"], "slowest": ["failure"], "slow": ["failure"], "heavy": ["failure"],
        "undecided": ["skipped"], "faster": [], "same": [],
    }  # fmt: skip


def test_warnings_name_regressions_and_undecided_cases():
    lines = gate.warnings(RESULTS)
    assert [re.search(r"linear/(\w+)", line)[1] for line in lines] == ORDER[:5]


@pytest.mark.parametrize("status", [Status.UNSUPPORTED, Status.SKIPPED])
def test_an_incomparable_case_is_skipped_without_a_warning(status):
    skipped = replace(
        RESULTS[0],
        a=FullCheckResult(status, "no"),
        b=FullCheckResult(status, "no"),
        decision=None,
        a_s=None,
        b_s=None,
    )
    assert gate.warnings([skipped]) == []
    assert 'skipped="1"' in gate.junit([skipped])
