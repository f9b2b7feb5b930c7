"""Every faulty implementation becomes one row with the correct status, and the sweep continues."""

import json
import os
import subprocess
from dataclasses import replace

import pytest
from timeouts import timeout_s

from linbench.core.case import Case
from linbench.core.measurement import Measurement, Status, Time
from linbench.core.row import from_row
from linbench.selftest import NAP_S, faults
from linbench.selftest.faults import FAULTS, PLANTED, Fault, is_child_left

CPU_FAULTS = [fault for fault in FAULTS if fault.device == "cpu"]


@pytest.fixture(scope="module")
def sweep(command_line):
    command, time_limit = command_line("faults"), f"{timeout_s(8):.0f}s"
    options = ["--T", "64", "--H", "2", "--D", "16", "--timeout", time_limit, "--max-memory", "1GiB"]
    rows = []
    for mode in ("fwd", "fwd_bwd"):
        names = ",".join(fault.implementation for fault in CPU_FAULTS if fault.mode == mode)
        stdout, _ = command(
            "run", "--plugin", PLANTED, "--impl", names, *options, "--mode", mode, "--min-time", "50ms",
            "--max-time", "50ms", "--format", "json", "--device", "cpu", "--no-report",
        )  # fmt: skip
        rows += [json.loads(line) for line in stdout.splitlines()]
    return command, {row["implementation"]: row for row in rows}, rows


def test_every_fault_is_one_row(sweep):
    _, by_name, rows = sweep
    assert len(rows) == len(by_name) == len(CPU_FAULTS)


@pytest.mark.parametrize("fault", CPU_FAULTS, ids=lambda fault: fault.name)
def test_status_and_reason(sweep, fault):
    row = sweep[1][fault.implementation]
    assert row["status"] == fault.status, row
    assert fault.caught(from_row(row | row["case"]))
    if fault.reason is None:
        assert row["reason"] is None
        assert row["median_s"] > fault.least_s
        assert sum(row["processes"]) >= 5
        assert row["ci_low_s"] <= row["median_s"] <= row["ci_high_s"]
    else:
        assert fault.reason in row["reason"]
        assert "\n" not in row["reason"]
        assert row["median_s"] is row["processes"] is row["peak_bytes"] is None


def test_a_wrong_row_has_its_errors(sweep):
    error = sweep[1]["planted/zeros"]["errors"]["o"]
    assert error["rel_l2"] == pytest.approx(1)
    assert error["nonfinite"] == 0
    assert sweep[1]["planted/nan"]["errors"]["o"]["nonfinite"] == 64 * 2 * 16


def test_the_child_processes_of_a_worker_end_with_it(sweep):
    assert sweep
    assert not is_child_left()


def test_a_child_of_another_run_is_ignored():
    other = subprocess.Popen(["sleep", str(NAP_S + 2**23)])  # no process has that number
    try:
        assert not is_child_left()
    finally:
        other.kill()
        other.wait()


def test_a_child_of_this_run_is_detected(monkeypatch):
    monkeypatch.setattr(faults, "END_S", 0.0)
    child = subprocess.Popen(["sleep", str(NAP_S + os.getpid())])
    try:
        assert is_child_left()
    finally:
        child.kill()
        child.wait()
    assert not is_child_left()


def test_strict_exits_3(sweep):
    command, _, _ = sweep
    options = ["--plugin", PLANTED, "--impl", "planted/zeros,planted/good", "--T", "16", "--once"]
    stdout, _ = command("run", *options, "--no-report", "--strict", code=3)
    assert "1 ok, 1 wrong" in stdout
    command("run", *options, "--no-report", code=0)


def test_an_implementation_that_timed_out_is_skipped_at_a_longer_t(linbench):
    stdout, _ = linbench(
        "run", "--plugin", PLANTED, "--impl", "planted/hangs,planted/good", "--T", "16,32", "--once",
        "--timeout", f"{timeout_s(2):.0f}s", "--no-report", "--format", "json", "--device", "cpu",
    )  # fmt: skip
    rows = {(row["implementation"], row["case"]["T"]): row for row in map(json.loads, stdout.splitlines())}
    assert rows["planted/hangs", 16]["status"] == "timeout"
    assert rows["planted/hangs", 32]["status"] == "skipped"
    assert "already timed out at T = 16" in rows["planted/hangs", 32]["reason"]
    assert rows["planted/good", 32]["status"] == "ok"


def test_a_result_that_is_cached_by_address_is_detected_with_one_head_and_one_sequence(linbench):
    stdout, _ = linbench(
        "run", "--plugin", PLANTED, "--impl", "planted/caches,planted/good", "--T", "16", "--H", "1",
        "--min-time", "10ms", "--no-report", "--format", "json", "--device", "cpu", "--mode", "fwd,fwd_bwd",
    )  # fmt: skip
    rows = {(row["implementation"], row["case"]["mode"]): row for row in map(json.loads, stdout.splitlines())}
    assert "correct at first, but wrong for other inputs" in rows["planted/caches", "fwd"]["reason"]
    assert rows["planted/caches", "fwd_bwd"]["status"] != "ok"
    assert rows["planted/good", "fwd"]["status"] == rows["planted/good", "fwd_bwd"]["status"] == "ok"


def row_of(status, reason=None, median_s=None, deterministic=True):
    time = None if median_s is None else Time("cpu", median_s, median_s, median_s, (1,))
    case = Case(1, 8, 1, 4, 4)
    return Measurement("planted", "planted/x", case, status, reason, time=time, deterministic=deterministic)


def test_a_fault_can_be_missed():
    fault = Fault("x", Status.WRONG, "off")
    assert fault.caught(row_of(Status.WRONG, "o is off"))
    assert not fault.caught(row_of(Status.WRONG, "other"))
    assert not fault.caught(row_of(Status.ERROR, "off"))
    assert not fault.caught(row_of(Status.OK, median_s=1.0))
    honest = Fault("x", Status.OK, least_s=0.005)
    assert honest.caught(row_of(Status.OK, median_s=0.006))
    assert not honest.caught(row_of(Status.OK, median_s=0.004))
    assert not honest.caught(row_of(Status.OK))
    assert not honest.caught(row_of(Status.OK, median_s=1.0, deterministic=False))


def test_selftest_prints_the_caught_faults_and_exits_3_if_one_is_missed(monkeypatch, capsys):
    from linbench.cli import _run

    selection = [fault for fault in FAULTS if fault.name in ("good", "zeros", "side-stream")]
    monkeypatch.setattr(faults, "visible_gpus", list)
    monkeypatch.setattr(faults.find_faults, "__defaults__", (selection,))
    assert _run(["selftest", "--faults"]) == 0
    text = capsys.readouterr().out
    assert "not run here: needs a CUDA device" in text
    assert "2 of 2 caught, 1 not run here" in text
    wrong = [replace(fault, status=Status.OOM) if fault.name == "zeros" else fault for fault in selection]
    monkeypatch.setattr(faults.find_faults, "__defaults__", (wrong,))
    assert _run(["selftest", "--faults", "--format", "json"]) == 3
    stdout, stderr = capsys.readouterr()
    verdicts = {record["fault"]: record["verdict"] for record in map(json.loads, stdout.splitlines())}
    assert verdicts == {"good": "caught", "zeros": "missed", "side-stream": "not run"}
    assert "1 of 2 caught" in stderr
