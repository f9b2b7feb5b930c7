"""A faulty implementation affects its own row and no other."""

import json
from pathlib import Path

import pytest
from timeouts import timeout_s

NEIGHBOURS = Path(__file__).with_name("neighbours.py")
OUTCOMES = {
    "a-mutates-and-raises": ("error", "ValueError: late"),
    "b-doubles-the-gradient": ("wrong", "changes"),
    "c-cannot-be-encoded": ("error", "ValueError: bad"),
    "d-bad-extra-bytes": ("error", "its extra_bytes failed: ZeroDivisionError"),
    "e-bad-unsupported-reason": ("error", "ZeroDivisionError"),
    "f-dies-and-leaves-a-child": ("crashed", "exited with code 7"),
    "z-correct": ("ok", None),
}


@pytest.fixture(scope="module")
def rows(command_line):
    command = command_line("neighbours")
    (command.folder / "random.py").write_text("raise ImportError('a module of the folder was imported')\n")
    (command.folder / "linbench").mkdir()
    package = command.folder / "linbench" / "__init__.py"
    package.write_text("raise ImportError('a package of the folder was imported')\n")
    stdout, _ = command.process(
        "run", "--plugin", NEIGHBOURS, "--impl", ",".join(f"linear/{name}" for name in OUTCOMES), "--T", "64",
        "--mode", "fwd_bwd", "--min-time", "50ms", "--timeout", f"{timeout_s(20):.0f}s", "--format", "json",
        "--device", "cpu", "--no-report",
    )  # fmt: skip
    lines = map(json.loads, stdout.splitlines())
    return {row["implementation"].removeprefix("linear/"): row for row in lines}


@pytest.mark.parametrize("name", OUTCOMES)
def test_each_implementation_has_its_own_status_and_reason(rows, name):
    status, reason = OUTCOMES[name]
    assert rows[name]["status"] == status, rows[name]
    assert reason is None or reason in rows[name]["reason"]


def test_a_dry_run_lists_faulty_implementations(linbench):
    names = ",".join(f"linear/{name}" for name in OUTCOMES)
    options = ["--impl", names, "--T", "64", "--device", "cpu", "--dry-run"]
    stdout, _ = linbench("run", "--plugin", NEIGHBOURS, *options)
    assert stdout.count("linear/") == len(OUTCOMES)
    assert "ZeroDivisionError" in stdout
