"""The store on a real PostgreSQL server, if it and psycopg are installed."""

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from synthetic import BARE, BARE_PLAN, ENVIRONMENT
from test_store import full_row, ok_row, skipped_row
from timeouts import timeout_s

from linbench.core.errors import StoreError
from linbench.core.measurement import Measurement, Status, TensorError
from linbench.store.store import Store

SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
INITDB = SERVERS[-1] if SERVERS else shutil.which("initdb")
pytestmark = pytest.mark.skipif(
    INITDB is None or find_spec("psycopg") is None, reason="needs PostgreSQL's initdb, and psycopg"
)


@pytest.fixture(scope="module")
def server():
    """URL of a server on loopback that stops after the tests; it does not run as root."""
    binaries = Path(INITDB).parent
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}

    def run(name, *arguments):
        command = [binaries / name, *arguments]
        return subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=timeout_s(60), **user)

    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        if user:
            shutil.chown(folder, user["user"])
        data = f"{folder}/data"
        process = run("initdb", "-D", data, "-A", "trust", "-U", "linbench", "-E", "UTF8", "--no-sync")
        if process.returncode:
            pytest.skip(f"initdb: {process.stderr.strip()}")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = f"-h 127.0.0.1 -p {port} -k {folder}"
        process = run("pg_ctl", "start", "-w", "-D", data, "-o", options, "-l", f"{folder}/log")
        assert process.returncode == 0, process.stdout
        try:
            yield f"postgresql+psycopg://linbench@127.0.0.1:{port}"
        finally:
            run("pg_ctl", "stop", "-D", data, "-m", "immediate")


@pytest.fixture
def url(server):
    """URL of an empty database."""
    name = f"db{uuid.uuid4().hex}"
    execute(f"{server}/postgres", f"CREATE DATABASE {name}")
    return f"{server}/{name}"


def execute(url, *statements):
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_rows_survive_a_round_trip(url):
    store = Store(url, write=True)
    run = store.begin(ENVIRONMENT, BARE_PLAN)
    rows = [ok_row(), skipped_row(128), nonfinite_row(), replace(full_row(), case=ok_row(512).case)]
    store.append(run.id, rows)
    store.append(run.id, [skipped_row(128)])
    store.finish(run.id)
    stored = Store(url).run("latest", with_samples=True)
    assert stored.measurements[0] == rows[0]
    assert stored.measurements[2:] == (rows[3], skipped_row(128))
    assert repr(stored.measurements[1]) == repr(replace(nonfinite_row(), reason="not finite: \\x00"))
    assert (stored.environment, stored.plan) == (ENVIRONMENT, BARE_PLAN)
    (summary,) = Store(url).summaries()
    assert summary.statuses == {"ok": 2, "skipped": 1, "wrong": 1}
    assert Store(url).problems() == []


def nonfinite_row():
    error = TensorError(1.0, 2.0, 3.0, 0.0, 3, 1e-5)
    case = ok_row(256).case
    return Measurement("linear", "linear/chunk", case, Status.WRONG, "not finite: \0", errors={"o": error})


def test_concurrent_writers_create_the_store_once(url):
    def write(number):
        store = Store(url, write=True)
        run = store.begin(BARE, BARE_PLAN)
        for T in range(1, 6):
            store.append(run.id, [ok_row(T, f"linear/{number}")])
        return run.id

    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(write, range(4)))
    assert [len(Store(url).run(run).measurements) for run in runs] == [5] * 4


def test_the_latest_run_is_the_last_one_started(url):
    store = Store(url, write=True)
    runs = [store.begin(BARE, BARE_PLAN).id for _ in range(3)]
    execute(url, "UPDATE runs SET created_at = '2001' WHERE number = 3")
    assert [summary.id for summary in store.summaries()] == runs[::-1]
    assert store.find("latest") == runs[-1]


def test_connection_errors_are_one_line(server):
    with pytest.raises(StoreError, match="does not exist") as caught:
        Store(f"{server}/never", write=True)
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match=r"[Cc]onnection refused") as caught:
        Store("postgresql+psycopg://linbench@127.0.0.1:1/x")
    assert "\n" not in str(caught.value)


def test_the_command_line(linbench, url):
    options = ["--T", "16,32", "--H", "1", "--D", "16", "--impl", "linear/chunk", "--mode", "fwd"]
    out, _ = linbench("run", *options, "--once", "--device", "cpu", "--no-report", "--db", url)
    run = out.split()[1].rstrip(":")
    assert run in linbench("list", "runs", "--db", url)[0]
    assert "2 rows" in linbench("show", "latest", "--db", url)[0]
    assert "no problems" in linbench("db", "check", "--db", url)[0]
    assert "0 rows" in linbench("run", "--resume", run, "--no-report", "--db", url)[0]
