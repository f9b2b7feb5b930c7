"""The store on a real SQLite file."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from synthetic import BARE, BARE_PLAN, ENVIRONMENT

from linbench.core.case import Case
from linbench.core.errors import StoreError, UsageError
from linbench.core.measurement import Cause, Kernel, Measurement, Memory, Status, TensorError, Time
from linbench.core.samples import Samples
from linbench.core.telemetry import Range, Reading, Telemetry
from linbench.core.work import Work
from linbench.store import store as store_module
from linbench.store.row import pack, unpack
from linbench.store.schema import REVISION, metadata
from linbench.store.store import Store


def ok_row(T=64, implementation="linear/chunk", median=2.0):
    return Measurement(
        "linear", implementation, Case(1, T, 2, 16, 16, options={"feature_map": "relu"}), Status.OK,
        time=Time("cpu", median, 1.0, 3.0, (2, 1), samples=Samples((1.0, 2.0, 3.0))),
        memory=Memory(2**40, 5, "allocator"),
        errors={"o": TensorError(1e-7, 1e-6, 1e-5, 1.0, 0, 1e-5)},
        first_call_s=9.0, flags=("contended",), measured_at="2026-11-22T00:00:00+00:00",
    )  # fmt: skip


def full_row():
    """A row in which every field has a value."""
    samples = Samples(
        (1.0, 2.0, 3.0), (0.5, 1.0, 1.5), (0, 7, 2**20), (0, 1, 0), (1.0, 1.5, 2.0), (0.25, 0.5, 0.75)
    )
    reading = Reading(1.0, 0.5, gpu_sm_mhz=1980.0, gpu_throttles=("power cap",))
    return replace(
        ok_row(),
        time=Time("cupti", 2.0, 1.0, 3.0, (2, 1), 1.0, 1.5, 0.5, 0.25, samples),
        memory=Memory(2**40, 9, "allocator", 4, 3, 2, 2**33, 2**34),
        errors={"o": TensorError(1e-7, 1e-6, 1e-5, 1.0, 0, 1e-5, (1e-8, 2e-7))},
        deterministic=False,
        kernels=(Kernel("forward", "num_warps=4", "0a1b", 255, 0, 2**16), Kernel("scan", "", "ff")),
        work=Work(2.0**70, 2.0**71, 2**40),
        approximation={"o": 0.25},
        telemetry=Telemetry(reading, None, {"load": Range(0.25, 0.5, 1.0)}, ("power cap",), 2),
    )


def skipped_row(T=64):
    return Measurement(
        "linear", "linear/chunk", Case(1, T, 2, 16, 16), Status.SKIPPED, "no time", Cause.TIME_LIMIT
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "x.db"


def test_rows_survive_a_round_trip(path):
    store = Store(str(path), write=True)
    run = store.begin(ENVIRONMENT, BARE_PLAN)
    rows = [ok_row(), skipped_row(128), full_row()]
    rows[2] = replace(rows[2], case=Case(1, 256, 2, 16, 16))
    store.append(run.id, rows)
    store.finish(run.id)
    stored = Store(str(path)).run("latest", with_samples=True)
    assert stored.measurements == tuple(rows)
    assert (stored.environment, stored.plan) == (ENVIRONMENT, BARE_PLAN)
    assert stored.finished_at is not None
    assert Store(str(path)).problems() == []


def test_the_later_of_two_rows_counts_and_the_earlier_is_kept(path):
    store = Store(str(path), write=True)
    run = store.begin(BARE, BARE_PLAN)
    store.append(run.id, [skipped_row(), ok_row()])
    later = Measurement("linear", "linear/chunk", Case(1, 64, 2, 16, 16), Status.OOM, "too large")
    store.append(run.id, [later])
    assert store.run(run.id, with_samples=True).measurements == (ok_row(), later)
    assert store.summaries()[0].statuses == {"ok": 1, "oom": 1}
    assert sqlite3.connect(path).execute("SELECT count(*) FROM measurements").fetchone() == (3,)


def test_a_failed_append_adds_nothing(path):
    store = Store(str(path), write=True)
    run = store.begin(BARE, BARE_PLAN)
    with pytest.raises(StoreError):
        store.append("no such run", [ok_row()])
    assert store.run(run.id).measurements == ()
    assert sqlite3.connect(path).execute("SELECT count(*) FROM samples").fetchone() == (0,)


def test_samples_are_stored_as_float32():
    assert unpack(pack([0.5, 1.25])) == [0.5, 1.25]
    assert len(pack([1e-3] * 7)) == 28


def test_a_run_is_found_by_a_prefix_of_its_id(path):
    store = Store(str(path), write=True)
    first, second = (store.begin(BARE, BARE_PLAN).id for _ in range(2))
    assert store.find(first) == first
    assert store.find(first[:-1]) == first or first[:-1] == second[:-1]
    assert store.find("latest") in (first, second)
    with pytest.raises(UsageError, match="matches 2 runs"):
        store.find("2")
    with pytest.raises(UsageError, match="unknown run 'x'"):
        store.find("x")


def test_concurrent_writers_lose_no_row(path):
    def write(number):
        store = Store(str(path), write=True)
        run = store.begin(BARE, BARE_PLAN)
        for T in range(1, 21):
            store.append(run.id, [ok_row(T, f"linear/{number}")])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert sum(len(Store(str(path)).run(run.id).measurements) for run in Store(str(path)).summaries()) == 80


def test_the_migrations_create_the_tables_of_the_schema(path):
    from sqlalchemy import create_engine, inspect

    Store(str(path), write=True)
    database = inspect(create_engine(f"sqlite:///{path}"))
    for table in metadata.sorted_tables:
        columns = {column["name"]: column for column in database.get_columns(table.name)}
        assert set(columns) == {column.name for column in table.columns}
        for column in table.columns:
            assert columns[column.name]["nullable"] == column.nullable, column
            assert str(columns[column.name]["type"]) == column.type.compile(), column
        assert {index["name"] for index in database.get_indexes(table.name)} == {
            index.name for index in table.indexes
        }
    version = sqlite3.connect(path).execute("SELECT version_num FROM alembic_version").fetchone()
    assert version == (REVISION,)
    journal = sqlite3.connect(path).execute("PRAGMA journal_mode").fetchone()
    assert journal == ("wal",)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"no database at all" * 100), "not a SQLite file"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: sqlite3.connect(path).execute("CREATE TABLE mine (x)"), "holds other tables"),
        (lambda path: path.touch(), "is empty"),
        (Path.exists, "there is no database"),
    ],
)
def test_a_path_without_a_store_is_a_one_line_error(tmp_path, make, message):
    path = tmp_path / "x.db"
    make(path)
    with pytest.raises(StoreError, match=message) as caught:
        Store(str(path))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_store_with_a_newer_schema_is_rejected(path):
    Store(str(path), write=True)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for write in (False, True):
        with pytest.raises(
            StoreError, match=f"has schema 9999; this linbench supports schemas up to {REVISION}"
        ):
            Store(str(path), write=write)


def test_a_store_with_other_columns_is_rejected(path):
    Store(str(path), write=True)
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE samples DROP COLUMN enqueue_s")
    for write in (False, True):
        with pytest.raises(StoreError, match=r"with other columns \(enqueue_s\)"):
            Store(str(path), write=write)


def test_run_ids_are_unique(path, monkeypatch):
    class Clock(datetime):
        now = classmethod(lambda cls, tz: cls(2026, 11, 22, tzinfo=tz))

    ends = iter(["0000", "0000", "0001"])
    monkeypatch.setattr(store_module, "datetime", Clock)
    monkeypatch.setattr(store_module.secrets, "token_hex", lambda _: next(ends))
    store = Store(str(path), write=True)
    runs = [store.begin(BARE, BARE_PLAN).id for _ in range(2)]
    assert runs == ["20261122-000000-0000", "20261122-000000-0001"]


def test_invalid_characters_of_a_reason_are_escaped(path):
    store = Store(str(path), write=True)
    run = store.begin(BARE, BARE_PLAN).id
    store.append(run, [Measurement("linear", "x", Case(1, 64, 2, 16, 16), Status.ERROR, "a\0b \udcff")])
    assert store.run(run).measurements[0].reason == r"a\x00b \udcff"


def test_problems_lists_damaged_rows(path):
    store = Store(str(path), write=True)
    run = store.begin(BARE, BARE_PLAN)
    store.append(run.id, [ok_row(T) for T in range(1, 5)])
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("UPDATE measurements SET status = 'superb' WHERE id = 1")
        connection.execute("UPDATE samples SET time_s = x'00000000' WHERE measurement = 2")
        connection.execute("DELETE FROM samples WHERE measurement = 3")
        connection.execute("UPDATE samples SET cpu_s = x'0000000000000000' WHERE measurement = 4")
    problems = "\n".join(Store(str(path)).problems())
    for message in (
        "row 1: cannot be read: status: Input should be",
        "row 2: the length of time_s is 1, expected 3",
        "row 3: has a median but no samples",
        "row 4: the length of cpu_s is 2, expected 3",
    ):
        assert message in problems


def test_a_truncated_file_is_a_one_line_error(path):
    store = Store(str(path), write=True)
    run = store.begin(BARE, BARE_PLAN)
    store.append(run.id, [ok_row(T) for T in range(1, 400)])
    del store
    truncated = path.with_name("truncated.db")
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    truncated.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StoreError, match=r"damaged|malformed"):
        Store(str(truncated)).run("latest")


AS_NOBODY = "from linbench.store.store import Store; import os, sys; os.setuid(65534); "
READ = AS_NOBODY + "print(len(Store(sys.argv[1]).run('latest').measurements))"
WRITE = AS_NOBODY + "Store(sys.argv[1], write=True)"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_store_in_a_read_only_folder_can_be_read_but_not_written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    path = folder / "x.db"
    store = Store(str(path), write=True)
    store.append(store.begin(BARE, BARE_PLAN).id, [ok_row()])
    del store
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(0o755)
    process = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True)
    assert process.stdout == "1\n", process.stderr
    process = subprocess.run([sys.executable, "-c", WRITE, str(path)], capture_output=True, text=True)
    assert "cannot be" in process.stderr.splitlines()[-1]


def test_a_full_disk_is_a_one_line_error_and_loses_no_row(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", mount]).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        store = Store(str(mount / "x.db"), write=True)
        run = store.begin(BARE, BARE_PLAN)
        lengths = []

        def fill():
            for T in range(1, 10_000):
                store.append(run.id, [ok_row(T)])
                lengths.append(T)

        with pytest.raises(StoreError, match="the disk is full"):
            fill()
        shutil.copytree(mount, tmp_path / "copy")
        assert len(Store(str(tmp_path / "copy/x.db")).run(run.id).measurements) == len(lengths) > 0
    finally:
        subprocess.run(["umount", "-l", mount], check=True)


def test_a_writer_waits_for_a_lock(path):
    store = Store(str(path), write=True)
    run = store.begin(BARE, BARE_PLAN)
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(1.0, holder.rollback)
    timer.start()
    store.append(run.id, [ok_row()])
    timer.join()
    assert len(store.run(run.id).measurements) == 1


@pytest.mark.parametrize("column", ["status = 'superb'", "errors = '{bad'", "status = 'oom'"])
def test_a_damaged_row_is_a_store_error(path, column):
    store = Store(str(path), write=True)
    store.append(store.begin(BARE, BARE_PLAN).id, [ok_row()])
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE measurements SET {column}")
    with pytest.raises(StoreError, match="damaged"):
        Store(str(path)).run("latest")


@pytest.mark.parametrize("column", ["environment", "plan"])
def test_a_damaged_run_is_a_store_error(path, column):
    store = Store(str(path), write=True)
    store.append(store.begin(BARE, BARE_PLAN).id, [ok_row()])
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE runs SET {column} = '{{}}'")
    with pytest.raises(StoreError, match=r"damaged: .*Field required"):
        Store(str(path)).run("latest")


def test_a_password_is_never_shown():
    with pytest.raises(StoreError) as caught:
        Store("postgresql+psycopg://me:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)
    with pytest.raises(StoreError, match="expected a path, or a URL"):
        Store("mysql://me:secret@127.0.0.1/none")
