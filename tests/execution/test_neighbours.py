"""What one implementation does wrong is its own row, and nobody else's."""

import json
from pathlib import Path

import pytest
from timeouts import timeout_s

NEIGHBOURS = Path(__file__).with_name("neighbours.py")
ENDS = {
    "a-mutates-and-raises": ("error", "ValueError: late"),
    "b-eats-the-gradient": ("wrong", "changes"),
    "c-cannot-be-encoded": ("error", "ValueError: bad"),
    "d-bad-extra-bytes": ("error", "its extra_bytes failed: ZeroDivisionError"),
    "e-bad-why-not": ("error", "ZeroDivisionError"),
    "f-dies-and-leaves-a-child": ("crashed", "exited with code 7"),
    "z-innocent": ("ok", None),
}


@pytest.fixture(scope="module")
def rows(command_line):
    command = command_line("neighbours")
    (command.folder / "random.py").write_text("raise ImportError('a module of the folder is not ours')\n")
    (command.folder / "linbench").mkdir()
    (command.folder / "linbench" / "__init__.py").write_text("raise ImportError('nor is this')\n")
    out, _ = command.process(
        "run", "--plugin", NEIGHBOURS, "--impl", ",".join(f"linear/{name}" for name in ENDS), "--T", "64",
        "--mode", "fwd_bwd", "--min-time", "50ms", "--timeout", f"{timeout_s(20):.0f}s", "--format", "json",
        "--device", "cpu", "--no-report",
    )  # fmt: skip
    return {row["implementation"].removeprefix("linear/"): row for row in map(json.loads, out.splitlines())}


@pytest.mark.parametrize("name", ENDS)
def test_each_has_its_own_end(rows, name):
    status, reason = ENDS[name]
    assert rows[name]["status"] == status, rows[name]
    assert reason is None or reason in rows[name]["reason"]


def test_a_dry_run_survives_them(linbench):
    words = ["--impl", ",".join(f"linear/{name}" for name in ENDS), "--T", "64", "--device", "cpu"]
    out, _ = linbench("run", "--plugin", NEIGHBOURS, *words, "--dry-run")
    assert out.count("linear/") == len(ENDS)
    assert "ZeroDivisionError" in out
