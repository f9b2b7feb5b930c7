"""The workflows of docs/ci: they are safe for forks, and their linbench commands run."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from scratch import Scratch

FOLDER = Path(__file__).parents[2] / "docs" / "ci"
MEASURING = ["linbench-cpu.yml", "linbench-gpu.yml"]
COMMENTING = "linbench-comment.yml"
ALL = [*MEASURING, COMMENTING]


def text_of(name):
    lines = (FOLDER / name).read_text().splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def test_every_workflow_is_tested_here():
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(ALL)


@pytest.mark.parametrize("name", ALL)
def test_no_expression_reaches_a_shell_or_a_script(name):
    """The value of an expression may be untrusted, so it is passed through the environment."""
    block = None
    for line in text_of(name).splitlines():
        assert "\t" not in line
        indent = len(line) - len(line.lstrip())
        if block is not None and line.strip() and indent <= block:
            block = None
        if re.match(r"\s*(?:- )?(run|script):", line):
            block = indent
        if block is not None:
            assert "${{" not in line, line


@pytest.mark.parametrize("name", MEASURING)
def test_a_workflow_that_runs_untrusted_code_has_no_secrets_and_no_write_permission(name):
    text = text_of(name)
    assert "\n  pull_request:\n" in text
    assert "pull_request_target" not in text
    assert "secrets" not in text
    assert re.findall(r"^permissions:\n((?:  .*\n)+)", text, re.M) == ["  contents: read\n"]
    assert text.count("permissions:") == 1
    assert text.count("actions/checkout@") == text.count("persist-credentials: false") == 1
    assert "fetch-depth: 0" in text
    assert "actions/upload-artifact@" in text


def test_the_workflow_with_write_permission_runs_no_code_of_the_pull_request():
    text = text_of(COMMENTING)
    assert "\n  workflow_run:\n" in text
    names = [re.search(r"^name: (.*)", text_of(name), re.M)[1] for name in MEASURING]
    assert f"workflows: [{', '.join(names)}]" in text
    for forbidden in ("checkout", "secrets", "eval", "child_process"):
        assert forbidden not in text
    assert not re.search(r"^\s*(- )?run:", text, re.M)
    assert "pull.head.sha !== process.env.HEAD_SHA" in text


@pytest.mark.parametrize("name", ALL)
def test_each_workflow_is_valid_yaml(name):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    workflow = yaml.safe_load((FOLDER / name).read_text())
    assert {"name", True, "permissions", "jobs"} <= set(workflow)  # `on` is a boolean in YAML 1.1


@pytest.mark.parametrize("name", MEASURING)
def test_the_linbench_commands_run(linbench, name):
    scratch = Scratch(linbench.folder, {"a": "a"})
    scratch.git("update-ref", "refs/remotes/origin/main", "HEAD")
    lines = [line.strip() for line in text_of(name).splitlines() if "linbench ci" in line]
    assert len(lines) == 1
    arguments = shlex.split(lines[0].replace("$BASE_REF", "main"))
    assert Path(arguments[0]).name == "linbench"
    out, _ = linbench(*arguments[1:])
    assert "nothing" in out.splitlines()[0]
    assert (linbench.folder / "reports" / "ci.md").is_file()
    case_flags = arguments[arguments.index("--base") + 2 :]
    out, _ = linbench("run", "--dry-run", "--impl", "linear/chunk", *case_flags)
    assert "linear/chunk" in out
    number = [line.strip() for line in text_of(name).splitlines() if "printf" in line]
    subprocess.run(number[0], shell=True, check=True, cwd=linbench.folder, env=os.environ | {"NUMBER": "7"})
    assert (linbench.folder / "reports" / "number").read_text() == "7\n"
