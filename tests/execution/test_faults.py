"""Whatever an implementation does, it becomes one row with the right status, and the sweep goes on."""

import json
from pathlib import Path

import psutil
import pytest

FAULTY = Path(__file__).with_name("faulty.py")

ENDS = {
    "segfaults": ("crashed", "SIGSEGV (segmentation fault)"),
    "hangs": ("timeout", "not done within 8 s"),
    "zeros": ("wrong", "o is off by 1 (relative L2)"),
    "nan": ("wrong", "elements that are NaN or infinite"),
    "raises": ("error", "KeyError: 'a line\\nand another'"),
    "exits": ("error", "SystemExit: 0"),
    "dies": ("crashed", "exited with code 7"),
    "eats": ("oom", "it may hold 1 GiB (--max-memory)"),
    "asks-too-much": ("oom", "can't allocate memory"),
    "prints": ("ok", None),
    "mutates": ("wrong", "changes its input k"),
    "half-shape": ("wrong", "returned o of shape (1, 32, 2, 16), expected (1, 64, 2, 16)"),
    "nothing": ("wrong", "returned None for o"),
    "mask": ("wrong", "o is off by"),
    "tires": ("wrong", "right at first, but not when timed"),
    "refuses": ("unsupported", "not on a Sunday"),
    "good": ("ok", None),
    "leaves-a-thread": ("ok", None),
    "garbage": ("crashed", "answered garbage: b'not json at all'"),
    "leaves-a-child": ("ok", None),
}


@pytest.fixture(scope="module")
def swept(command_line):
    command = command_line("faults")
    words = ["--T", "64", "--H", "2", "--D", "16", "--timeout", "8s", "--max-memory", "1GiB"]
    names = [f"linear/{name}" for name in ENDS]
    out, _ = command(
        "run", "--plugin", FAULTY, "--impl", ",".join(names), *words, "--min-time", "50ms",
        "--format", "json", "--device", "cpu",
    )  # fmt: skip
    rows = [json.loads(line) for line in out.splitlines()]
    return command, {row["implementation"]: row for row in rows}, rows


def test_every_fault_is_one_row(swept):
    _, by_name, rows = swept
    assert len(rows) == len(by_name) == len(ENDS)


@pytest.mark.parametrize("name", ENDS)
def test_status_and_reason(swept, name):
    status, reason = ENDS[name]
    row = swept[1][f"linear/{name}"]
    assert row["status"] == status, row
    if reason is None:
        assert row["reason"] is None
        assert row["median_s"] > 0
        assert row["n"] >= 5
        assert row["ci_low_s"] <= row["median_s"] <= row["ci_high_s"]
    else:
        assert reason in row["reason"]
        assert "\n" not in row["reason"]
        assert row["median_s"] is row["peak_bytes"] is None
        assert row["n"] == 0


def test_a_wrong_row_says_how_wrong(swept):
    error = swept[1]["linear/zeros"]["errors"]["o"]
    assert error["rel_l2"] == pytest.approx(1)
    assert error["nonfinite"] == 0
    assert swept[1]["linear/nan"]["errors"]["o"]["nonfinite"] == 64 * 2 * 16


def test_what_a_worker_started_ends_with_it(swept):
    assert swept
    for process in psutil.process_iter(["cmdline"]):
        assert "987654" not in (process.info["cmdline"] or [])


def test_strict_exits_3(swept):
    command, _, _ = swept
    words = ["--plugin", FAULTY, "--impl", "linear/zeros,linear/good", "--T", "16", "--once", "--no-report"]
    out, _ = command("run", *words, "--strict", code=3)
    assert "1 ok, 1 wrong" in out
    command("run", *words, code=0)


def test_an_implementation_that_timed_out_is_not_tried_at_a_longer_t(linbench):
    out, _ = linbench(
        "run", "--plugin", FAULTY, "--impl", "linear/hangs,linear/good", "--T", "16,32", "--once",
        "--timeout", "2s", "--no-report", "--format", "json", "--device", "cpu",
    )  # fmt: skip
    rows = [json.loads(line) for line in out.splitlines()]
    found = {(row["implementation"], row["case"]["T"]): row for row in rows}
    assert found["linear/hangs", 16]["status"] == "timeout"
    assert found["linear/hangs", 32]["status"] == "skipped"
    assert "timed out already at T = 16" in found["linear/hangs", 32]["reason"]
    assert found["linear/good", 32]["status"] == "ok"
