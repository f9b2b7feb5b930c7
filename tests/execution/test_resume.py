"""A run that is killed at any moment loses the case in flight at most, and is resumed to its end."""

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
WORDS = [*GRID, "--mode", "fwd,decode", "--min-time", "50ms", "--processes=2", "--no-report", "--device=cpu"]


def stored(folder):
    return sqlite3.connect(folder / "results/linbench.db").execute("SELECT * FROM measurements").fetchall()


def begun(folder):
    """Return whether a run is stored."""
    path = folder / "results/linbench.db"
    try:
        return path.exists() and sqlite3.connect(path).execute("SELECT count(*) FROM runs").fetchone()[0]
    except sqlite3.OperationalError:  # the tables are being made
        return False


@pytest.mark.parametrize(
    "rows", [pytest.param(0, marks=pytest.mark.whole), 4, pytest.param(13, marks=pytest.mark.whole)]
)
def test_kill_9_of_the_parent_loses_the_case_in_flight_at_most(linbench, rows):
    process = linbench.start("run", *WORDS, "--format", "json")
    printed = [json.loads(process.stdout.readline()) for _ in range(rows)]
    if not rows:
        while not begun(linbench.folder):
            time.sleep(0.01)
        time.sleep(1.5)
    children = psutil.Process(process.pid).children()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    for child in children:
        child.wait(timeout_s(10))  # the worker goes with its run, or this raises
        assert not child.is_running()
    kept = len(stored(linbench.folder))
    assert kept % 3 == 0  # whole cases
    assert kept >= len(printed)
    out, _ = linbench("run", "--resume", "latest", "--no-report", "--format", "json")
    again = [json.loads(line) for line in out.splitlines()]
    assert kept + len(again) == 3 * 8 == len(stored(linbench.folder))
    every = [*printed, *again]
    assert len({(row["implementation"], row["case_id"]) for row in every}) == len(every)
    out, _ = linbench("list", "runs", "--format", "json")
    (run,) = [json.loads(line) for line in out.splitlines()]
    assert run["finished"] != "no"
    out, _ = linbench("db", "check")
    assert "no problems" in out


def test_an_interrupt_stops_at_once_and_says_how_to_go_on(linbench):
    process = linbench.start("run", *WORDS)
    process.stdout.readline()
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=timeout_s(20))
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "linbench run --resume 2" in out


def test_what_the_time_limit_left_out_is_a_row_and_is_measured_on_resume(linbench):
    words = ["--T", "16,32", *WORDS[2:]]
    out, _ = linbench("run", *words, "--time-limit", "1ms", "--format", "json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["status"] for row in rows] == ["ok"] * 3 + ["skipped"] * 9  # the first case is started
    assert all("--time-limit" in row["reason"] for row in rows[3:])
    journal = next((linbench.folder / "results").glob("*.jsonl"))
    assert [json.loads(line) for line in journal.read_text().splitlines()[1:]] == rows
    out, _ = linbench("run", "--resume", "latest", "--no-report")
    assert "10 ok, 2 unsupported; stored" in out


def test_a_resumed_run_is_taken_as_it_was_begun(linbench):
    linbench("run", "--impl", "softmax/flash", "--T", "16", "--once", "--no-report", "--device", "cpu")
    for words in (("--T", "64"), ("--device", "cpu"), ("--processes", "3"), ("--plugin", "x.py")):
        _, err = linbench("run", "--resume", "latest", *words, code=2)
        assert f"leave out {words[0]}" in err
    _, err = linbench("run", "--resume", "latest", "--baseline", "softmax/flush", code=2)
    assert "did you mean softmax/flash" in err
    _, err = linbench("run", "--resume", "never", code=2)
    assert "unknown run 'never'" in err


def test_a_case_predicted_not_to_fit_is_skipped_with_the_numbers(linbench):
    out, _ = linbench(
        "run", "--impl", "softmax/naive", "--T", "64,64k", "--once", "--no-report", "--format", "json",
        "--max-memory", "4GiB", "--device", "cpu",
    )  # fmt: skip
    small, large = [json.loads(line) for line in out.splitlines()]
    assert small["status"] == "ok"
    assert large["status"] == "skipped"
    assert large["reason"] == "predicted to need 256 GiB; 4 GiB may be used"


def test_a_run_of_another_machine_is_not_gone_on_with(linbench):
    linbench("run", "--impl", "linear/chunk", "--T", "16", "--once", "--no-report", "--device", "cpu")
    with sqlite3.connect(linbench.folder / "results/linbench.db") as connection:
        connection.execute("UPDATE runs SET environment = json_set(environment, '$.host.cpu', 'Z80')")
    _, err = linbench("run", "--resume", "latest", code=4)
    assert re.search(r"was begun with cpu Z80, \d+ cores, and this is .*; begin a new run", err)


def test_more_time_takes_up_what_timed_out(linbench):
    bound_s = timeout_s(2)
    (linbench.folder / "slow.py").write_text(
        "import time\nfrom linbench import get, implementation\n\n"
        "@implementation('linear', 'slow')\n"
        f"def slow(q, k, v):\n    time.sleep({1.5 * bound_s} * (q.shape[1] > 8))\n"
        "    return get('linear/naive')(q, k, v)\n"
    )
    words = ["--plugin", "slow.py", "--impl", "linear/slow", "--T", "8,32,64", "--once", "--device", "cpu"]
    out, _ = linbench("run", *words, "--timeout", f"{bound_s}s", "--no-report")
    assert "1 ok, 1 skipped, 1 timeout" in out
    out, _ = linbench("run", "--resume", "latest", "--no-report")
    assert "1 ok, 1 skipped, 1 timeout" in out  # the same bound: nothing is tried again
    out, _ = linbench("run", "--resume", "latest", "--no-report", "--timeout", f"{30 * bound_s}s")
    assert "3 ok" in out


def test_a_schedule_names_its_timer_and_takes_the_default_if_none_was_asked_for():
    schedule = api.plan_run(None, impl="linear/naive", device="cuda", axes=typed_axes(T="16"))
    assert schedule.plan.settings.timer == "cuda_events_cold"
    asked = Settings(timer="cupti")
    schedule = api.plan_run(None, impl="linear/naive", device="cuda", settings=asked, axes=typed_axes(T="16"))
    stored = decode(Plan, encode(schedule.plan))
    assert stored == schedule.plan
    assert make_schedule(registry, stored) == schedule
    bare = replace(stored, settings=replace(stored.settings, timer=None))
    assert make_schedule(registry, bare).plan.settings.timer == "cuda_events_cold"
