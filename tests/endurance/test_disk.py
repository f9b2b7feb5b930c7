"""A database that can no longer be written: the run stops cleanly, loses nothing, and can be resumed."""

import json
import os
import shutil
import sqlite3
import subprocess
import threading

import pytest
from synthetic import BARE, BARE_PLAN
from timeouts import timeout_s
from writer import NAMES, rows

from linbench.core.errors import StoreError
from linbench.store.store import Store


def fill(disk, room=0):
    """Fill a disk up to this many free bytes."""
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(disk).free - room))
    return ballast


@pytest.mark.parametrize("room", [0, 4096, 24 << 10, 40 << 10, 64 << 10, 96 << 10])
def test_no_row_is_lost_when_the_disk_fills_up(disk, room):
    path = str(disk / "x.db")
    store = Store(path, write=True)
    run = store.begin(BARE, BARE_PLAN).id
    stored_lengths = list(range(1, 4))
    for T in stored_lengths:
        store.append(run, rows(T))
    ballast = fill(disk, room)

    def fill_up():
        for T in range(4, 10_000):
            store.append(run, rows(T))
            stored_lengths.append(T)

    with pytest.raises(StoreError, match="the disk is full; free some space"):
        fill_up()
    ballast.unlink()
    store.append(run, rows(10_000))
    assert [row.case.T for row in store.run(run).measurements[:: len(NAMES)]] == [*stored_lengths, 10_000]
    assert store.problems() == []


def test_a_run_can_be_resumed_when_the_disk_has_room_again(linbench, disk):
    grid = ["--T", "16..1k", "--H", "1", "--D", "16", "--mode", "fwd,decode", "--impl", "linear/chunk"]
    options = ["--no-report", "--format", "json", "--db", disk / "x.db"]
    process = linbench.start(
        "run", *grid, "--min-time", "50ms", "--processes", "1", "--device", "cpu", *options
    )
    lines = [process.stdout.readline() for _ in range(2)]
    ballast = fill(disk)
    stdout, error = process.communicate(timeout=timeout_s(200))
    lines += stdout.splitlines(True)
    assert process.returncode == 5, error
    assert "Traceback" not in error
    *_, resume, reason = error.splitlines()
    run = json.loads(lines[0])["run"]
    assert resume.endswith(f"resume it with: linbench run --resume {run} --db {disk}/x.db")
    assert f"{disk}" in reason
    assert "the disk is full" in reason
    ballast.unlink()
    stdout, _ = linbench("run", "--resume", run, *options)
    rows, _ = linbench("show", run, "--db", disk / "x.db", "--format", "json")
    assert sorted([*lines, *stdout.splitlines(True)]) == sorted(rows.splitlines(True))
    assert len(rows.splitlines()) == 14
    assert "no problems" in linbench("db", "check", "--db", disk / "x.db")[0]


def test_a_disk_that_becomes_read_only(paced, disk):
    db = disk / "x.db"
    process, lines = paced.start(db)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    run = paced.assert_stops(process, db, "cannot be opened or written")
    rows, _ = paced("show", run, "--db", db, "--format", "json")
    assert rows.splitlines(True) == lines
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    paced.assert_resumes(db, run, lines)


def test_a_file_that_becomes_read_only(paced):
    process, lines = paced.start("x.db")
    path = paced.folder / "x.db"
    if os.getuid() or subprocess.run(["chattr", "+i", path], stderr=subprocess.DEVNULL).returncode:
        process.kill()
        process.communicate()
        pytest.skip("a file cannot be made immutable here")
    try:
        run = paced.assert_stops(process, "x.db", "cannot be written")
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
    paced.assert_resumes("x.db", run, lines)


@pytest.mark.parametrize("name", ["x.db", ""])
def test_a_database_that_is_removed(paced, name):
    process, lines = paced.start("deep/x.db")
    path = paced.folder / "deep" / name
    path.rename(paced.folder / "away")
    message = "was removed during the run; restore it, or start a new run"
    run = paced.assert_stops(process, "deep/x.db", message)
    assert not path.exists()
    (paced.folder / "away").rename(path)
    paced.assert_resumes("deep/x.db", run, lines)


def test_a_database_that_is_replaced(paced):
    process, _ = paced.start("x.db")
    (paced.folder / "x.db").unlink()
    paced("run", "--T", "16", "--no-report", "--device", "cpu", "--db", "x.db")
    paced.assert_stops(process, "x.db", "no longer contains this run")


def test_a_lock_that_is_held_too_long_and_a_lock_that_is_released_in_time(paced):
    process, lines = paced.start("x.db", PACED='{"busy_timeout_ms": 500}')
    holder = sqlite3.connect(paced.folder / "x.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    run = paced.assert_stops(process, "x.db", "locked by another process")
    timer = threading.Timer(2.0, holder.rollback)
    timer.start()
    paced.assert_resumes("x.db", run, lines)
    assert timer.finished.is_set()
