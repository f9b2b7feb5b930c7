"""A database that cannot be written any more: a clean stop, nothing lost, and the way on."""

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
    """Leave so many bytes on a disk."""
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(disk).free - room))
    return ballast


@pytest.mark.parametrize("room", [0, 4096, 24 << 10, 40 << 10, 64 << 10, 96 << 10])
def test_a_disk_that_fills_up_loses_nothing(disk, room):
    path = str(disk / "x.db")
    store = Store(path, write=True)
    run = store.begin(BARE, BARE_PLAN).id
    stored = list(range(1, 4))
    for T in stored:
        store.append(run, rows(T))
    ballast = fill(disk, room)

    def fill_up():
        for T in range(4, 10_000):
            store.append(run, rows(T))
            stored.append(T)

    with pytest.raises(StoreError, match="the disk is full; free some room"):
        fill_up()
    ballast.unlink()
    store.append(run, rows(10_000))
    assert [row.case.T for row in store.run(run).measurements[:: len(NAMES)]] == [*stored, 10_000]
    assert store.problems() == []


def test_a_run_goes_on_when_there_is_room_again(linbench, disk):
    grid = ["--T", "16..1k", "--H", "1", "--D", "16", "--mode", "fwd,decode", "--impl", "linear/chunk"]
    words = ["--no-report", "--format", "json", "--db", disk / "x.db"]
    process = linbench.start(
        "run", *grid, "--min-time", "50ms", "--processes", "1", "--device", "cpu", *words
    )
    printed = [process.stdout.readline() for _ in range(2)]
    ballast = fill(disk)
    out, error = process.communicate(timeout=timeout_s(200))
    printed += out.splitlines(True)
    assert process.returncode == 5, error
    assert "Traceback" not in error
    *_, resume, reason = error.splitlines()
    run = json.loads(printed[0])["run"]
    assert resume.endswith(f"resume it with: linbench run --resume {run} --db {disk}/x.db")
    assert f"{disk}" in reason
    assert "the disk is full" in reason
    ballast.unlink()
    out, _ = linbench("run", "--resume", run, *words)
    shown, _ = linbench("show", run, "--db", disk / "x.db", "--format", "json")
    assert sorted([*printed, *out.splitlines(True)]) == sorted(shown.splitlines(True))
    assert len(shown.splitlines()) == 14
    assert "no problems" in linbench("db", "check", "--db", disk / "x.db")[0]


def test_a_disk_that_becomes_read_only(paced, disk):
    db = disk / "x.db"
    process, printed = paced.start(db)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    run = paced.stopped(process, db, "cannot be opened or written there")
    shown, _ = paced("show", run, "--db", db, "--format", "json")
    assert shown.splitlines(True) == printed
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    paced.resumed(db, run, printed)


def test_a_file_that_becomes_read_only(paced):
    process, printed = paced.start("x.db")
    path = paced.folder / "x.db"
    if os.getuid() or subprocess.run(["chattr", "+i", path], stderr=subprocess.DEVNULL).returncode:
        process.kill()
        process.communicate()
        pytest.skip("a file cannot be made immutable here")
    try:
        run = paced.stopped(process, "x.db", "cannot be written")
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
    paced.resumed("x.db", run, printed)


@pytest.mark.parametrize("what", ["x.db", ""])
def test_a_database_that_is_removed(paced, what):
    process, printed = paced.start("deep/x.db")
    gone = paced.folder / "deep" / what
    gone.rename(paced.folder / "away")
    run = paced.stopped(process, "deep/x.db", "was removed meanwhile; put it back, or run anew")
    assert not gone.exists()
    (paced.folder / "away").rename(gone)
    paced.resumed("deep/x.db", run, printed)


def test_a_database_that_another_took_the_place_of(paced):
    process, _ = paced.start("x.db")
    (paced.folder / "x.db").unlink()
    paced("run", "--T", "16", "--no-report", "--device", "cpu", "--db", "x.db")
    paced.stopped(process, "x.db", "holds no such run any more")


def test_a_lock_held_too_long_and_one_let_go_in_time(paced):
    process, printed = paced.start("x.db", PACED='{"busy_timeout_ms": 500}')
    holder = sqlite3.connect(paced.folder / "x.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    run = paced.stopped(process, "x.db", "held by another process")
    timer = threading.Timer(2.0, holder.rollback)
    timer.start()
    paced.resumed("x.db", run, printed)
    assert timer.finished.is_set()
