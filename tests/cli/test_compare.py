"""linbench compare and linbench ci as a user types them, on real workers and scratch repositories."""

import json
import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from scratch import Scratch

CASE = [
    "--T",
    "16",
    "--H",
    "1",
    "--D",
    "8",
    "--B",
    "1",
    "--dtype",
    "float32",
    "--mode",
    "fwd",
    "--device",
    "cpu",
]
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
PLUGIN = """
import time
from linbench import implementation
from linbench.core.registry import registry
from extra import SLEEP_S

def slowed(q, k, v, by=1):
    time.sleep(by * SLEEP_S)
    return registry.implementation("linear/naive")(q, k, v)

@implementation("linear", "mine")
def mine(q, k, v):
    return slowed(q, k, v)

@implementation("linear", "half")
def half(q, k, v):
    return slowed(q, k, v, 0.3)
"""
SLOW = {"extra.py": "SLEEP_S = 3e-3\n"}
FAST = {"mine.py": PLUGIN, "extra.py": "SLEEP_S = 1e-3\n", ".gitignore": "__pycache__/\nreports/\nresults/\n"}


@pytest.fixture
def scratch(linbench):
    repository = Scratch(linbench.folder, FAST)
    linbench.environment |= ONE_THREAD | {
        "PYTHONPATH": os.pathsep.join([str(linbench.folder), *sys.path[1:]])
    }
    return repository


def test_two_implementations_compared_in_one_process(scratch, linbench):
    del scratch
    out, err = linbench.process(
        "compare", "linear/half", "linear/mine", "--plugin", "mine.py", *CASE, "--format", "json", code=1
    )
    (row,) = map(json.loads, out.splitlines())
    assert (row["answer"], row["regressions"]) == ("slower", ["slower"])
    assert row["decision"]["effect"] > 0.1  # 3.3 times the sleep; a busy machine oversleeps
    assert row["decision"]["processes"] >= 10
    assert (row["implementation_a"], row["implementation_b"]) == ("linear/half", "linear/mine")
    assert row["memory_change_bytes"] == 0
    assert row["errors_a"]["o"] == row["errors_b"]["o"] > 0
    assert "1 compared: 1 slower" in err


def test_a_slower_branch_fails_the_gate_and_leaves_nothing_behind(scratch, linbench, tmp_path):
    scratch.git("checkout", "-q", "-b", "topic")
    scratch.commit(SLOW)
    arguments = ["ci", "--base", "main", "--plugin", "mine.py", "--impl", "linear/mine", *CASE]
    step = tmp_path / "step.md"
    out, _ = linbench.process(*arguments, code=1, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(step))
    assert "changed since" in out
    assert "REGRESSION: slower" in out
    assert "::warning title=linbench%3A slower::slower" in out
    summary = (tmp_path / "reports" / "ci.md").read_text()
    assert step.read_text() == summary
    assert "| **slower** | <code>linear/mine B1 T16" in summary
    (case,) = ElementTree.parse(tmp_path / "reports" / "ci.xml").getroot()
    assert case.find("failure") is not None
    assert len(scratch.git("worktree", "list").splitlines()) == 1
    assert scratch.git("status", "--porcelain") == "?? step.md"


def test_a_working_tree_without_a_changed_implementation_passes_without_measuring(scratch, linbench):
    scratch.write({"README.md": "new"})
    out, _ = linbench.process("ci", "--base", "main", "--plugin", "mine.py", *CASE)
    assert "nothing" in out.splitlines()[0]
    assert (
        "No implementation depends on a changed file" in (linbench.folder / "reports" / "ci.md").read_text()
    )


def test_a_broken_side_is_a_row_without_a_traceback(scratch, linbench):
    head = scratch.commit({"extra.py": "raise OSError('no such kernel')\n"})
    scratch.write(FAST)
    arguments = ["--plugin", "mine.py", "--impl", "linear/mine", *CASE]
    out, err = linbench.process("compare", ".", head, *arguments, code=1)
    assert "B is error: plugin" in out
    assert "OSError: no such kernel" in out
    assert "REGRESSION: error" in out
    assert "Traceback" not in out + err


def test_an_interpreter_without_linbench_is_rejected(scratch, linbench, tmp_path):
    del scratch
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    python = str(bare / "bin" / "python")
    arguments = ["--impl", "linear/naive", *CASE]
    _, err = linbench.process("compare", sys.executable, python, *arguments, code=4, PYTHONPATH="")
    assert f"no worker can be started with {python}" in err
    assert "linbench" in err.partition(python)[2]
    assert "Traceback" not in err


def test_a_comparison_of_stored_runs_never_fails(measured):
    out, err = measured("compare", f"run:{measured.run}", f"run:{measured.run}", "--format", "json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert {row["answer"] for row in rows} == {"no sign"}  # both sides are the same run
    assert sum(row["effect"] == 0 for row in rows) > 10
    assert "stored runs prove nothing" in err


MISTAKES = {
    "nothing": (["compare", "linear/chnk", "linear/chunk"], "did you mean linear/chunk"),
    "kinds": (["compare", "linear/chunk", "run:latest"], "compare two of the same kind"),
    "no-repository": (["compare", "main", "."], "is not in a git repository"),
    "ci": (["ci"], "is not in a git repository"),
    "impl": (["compare", "linear/chunk", "linear/naive", "--impl", "linear/chunk"], "leave out --impl"),
    "axis": (["compare", "linear/chunk", "linear/naive", "--T", "0"], "is not a positive count"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(linbench, name):
    arguments, message = MISTAKES[name]
    out, err = linbench(*arguments, code=2)
    assert message in err
    assert len(err.splitlines()) == 1
    assert not out


def test_a_repository_without_a_plugin_is_rejected(linbench):
    Scratch(linbench.folder, {"a": "a"})
    _, err = linbench("compare", "main", ".", "--impl", "linear/chunk", *CASE, code=2)
    assert "no loaded plugin comes from" in err
