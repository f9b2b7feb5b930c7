"""A killed run loses at most the case in flight, and can be resumed to completion."""

import json
import os
import re
import signal
import sqlite3
import time
from dataclasses import replace

import psutil
import pytest
from timeouts import timeout_s

from linbench import api
from linbench.core.codec import decode, encode
from linbench.core.grid import typed_axes
from linbench.core.plan import Plan, Settings
from linbench.core.registry import registry
from linbench.execution.schedule import make_schedule

GRID = ["--T", "16,32,64,128", "--H", "1", "--D", "16", "--impl", "linear/chunk,linear/naive,softmax/naive"]
OPTIONS = ["--mode", "fwd,decode", "--min-time", "50ms", "--processes=2", "--no-report", "--device=cpu"]
ARGUMENTS = [*GRID, *OPTIONS]


def stored_rows(folder):
    return sqlite3.connect(folder / "results/linbench.db").execute("SELECT * FROM measurements").fetchall()


def has_run(folder):
    """Return whether a run is stored."""
    path = folder / "results/linbench.db"
    try:
        return path.exists() and sqlite3.connect(path).execute("SELECT count(*) FROM runs").fetchone()[0]
    except sqlite3.OperationalError:  # the tables are not complete
        return False


@pytest.mark.parametrize(
    "rows", [pytest.param(0, marks=pytest.mark.whole), 4, pytest.param(13, marks=pytest.mark.whole)]
)
def test_kill_9_of_the_parent_loses_at_most_the_case_in_flight(linbench, rows):
    process = linbench.start("run", *ARGUMENTS, "--format", "json")
    printed_rows = [json.loads(process.stdout.readline()) for _ in range(rows)]
    if not rows:
        while not has_run(linbench.folder):
            time.sleep(0.01)
        time.sleep(1.5)
    children = psutil.Process(process.pid).children()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    for child in children:
        child.wait(timeout_s(10))  # raises if the worker does not end with its run
        assert not child.is_running()
    count = len(stored_rows(linbench.folder))
    assert count % 3 == 0  # only complete cases
    assert count >= len(printed_rows)
    stdout, _ = linbench("run", "--resume", "latest", "--no-report", "--format", "json")
    new_rows = [json.loads(line) for line in stdout.splitlines()]
    assert count + len(new_rows) == 3 * 8 == len(stored_rows(linbench.folder))
    all_rows = [*printed_rows, *new_rows]
    assert len({(row["implementation"], row["case_id"]) for row in all_rows}) == len(all_rows)
    stdout, _ = linbench("list", "runs", "--format", "json")
    (run,) = [json.loads(line) for line in stdout.splitlines()]
    assert run["finished"] != "no"
    stdout, _ = linbench("db", "check")
    assert "no problems" in stdout


def test_an_interrupt_stops_a_run_immediately_and_prints_how_to_resume_it(linbench):
    process = linbench.start("run", *ARGUMENTS)
    process.stdout.readline()
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=timeout_s(20))
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "linbench run --resume 2" in stdout


def test_cases_beyond_the_time_limit_are_skipped_and_measured_on_resume(linbench):
    arguments = ["--T", "16,32", *ARGUMENTS[2:]]
    stdout, _ = linbench("run", *arguments, "--time-limit", "1ms", "--format", "json")
    rows = [json.loads(line) for line in stdout.splitlines()]
    assert [row["status"] for row in rows] == ["ok"] * 3 + ["skipped"] * 9  # the first case is started
    assert all("--time-limit" in row["reason"] for row in rows[3:])
    journal = next((linbench.folder / "results").glob("*.jsonl"))
    assert [json.loads(line) for line in journal.read_text().splitlines()[1:]] == rows
    stdout, _ = linbench("run", "--resume", "latest", "--no-report")
    assert "10 ok, 2 unsupported; stored" in stdout


def test_the_plan_of_a_resumed_run_cannot_be_changed(linbench):
    linbench("run", "--impl", "softmax/flash", "--T", "16", "--once", "--no-report", "--device", "cpu")
    for option in (("--T", "64"), ("--device", "cpu"), ("--processes", "3"), ("--plugin", "x.py")):
        _, stderr = linbench("run", "--resume", "latest", *option, code=2)
        assert f"leave out {option[0]}" in stderr
    _, stderr = linbench("run", "--resume", "latest", "--baseline", "softmax/flush", code=2)
    assert "did you mean softmax/flash" in stderr
    _, stderr = linbench("run", "--resume", "never", code=2)
    assert "unknown run 'never'" in stderr


def test_a_case_that_is_predicted_not_to_fit_in_memory_is_skipped(linbench):
    stdout, _ = linbench(
        "run", "--impl", "softmax/naive", "--T", "64,64k", "--once", "--no-report", "--format", "json",
        "--max-memory", "4GiB", "--device", "cpu",
    )  # fmt: skip
    small, large = [json.loads(line) for line in stdout.splitlines()]
    assert small["status"] == "ok"
    assert large["status"] == "skipped"
    assert large["reason"] == "predicted to need 256 GiB; 4 GiB may be used"


def test_a_run_of_another_machine_cannot_be_resumed(linbench):
    linbench("run", "--impl", "linear/chunk", "--T", "16", "--once", "--no-report", "--device", "cpu")
    with sqlite3.connect(linbench.folder / "results/linbench.db") as connection:
        connection.execute("UPDATE runs SET environment = json_set(environment, '$.host.cpu', 'Z80')")
    _, stderr = linbench("run", "--resume", "latest", code=4)
    assert re.search(r"was begun with cpu Z80, \d+ cores, and this is .*; begin a new run", stderr)


def test_jobs_that_timed_out_are_measured_on_resume_with_a_longer_timeout(linbench):
    limit_s = timeout_s(2)
    (linbench.folder / "slow.py").write_text(
        "import time\nfrom linbench import get, implementation\n\n"
        "@implementation('linear', 'slow')\n"
        f"def slow(q, k, v):\n    time.sleep({1.5 * limit_s} * (q.shape[1] > 8))\n"
        "    return get('linear/naive')(q, k, v)\n"
    )
    options = ["--plugin", "slow.py", "--impl", "linear/slow", "--T", "8,32,64", "--once", "--device", "cpu"]
    stdout, _ = linbench("run", *options, "--timeout", f"{limit_s}s", "--no-report")
    assert "1 ok, 1 skipped, 1 timeout" in stdout
    stdout, _ = linbench("run", "--resume", "latest", "--no-report")
    assert "1 ok, 1 skipped, 1 timeout" in stdout  # with the same timeout, no job is repeated
    stdout, _ = linbench("run", "--resume", "latest", "--no-report", "--timeout", f"{30 * limit_s}s")
    assert "3 ok" in stdout


def test_a_schedule_has_the_timer_of_its_plan_or_the_default():
    axes = typed_axes(T="16")
    schedule = api.plan_run(None, impl="linear/naive", device="cuda", axes=axes)
    assert schedule.plan.settings.timer == "cuda_events_cold"
    settings = Settings(timer="cupti")
    schedule = api.plan_run(None, impl="linear/naive", device="cuda", settings=settings, axes=axes)
    plan = decode(Plan, encode(schedule.plan))
    assert plan == schedule.plan
    assert make_schedule(registry, plan) == schedule
    plan_without_timer = replace(plan, settings=replace(plan.settings, timer=None))
    assert make_schedule(registry, plan_without_timer).plan.settings.timer == "cuda_events_cold"
