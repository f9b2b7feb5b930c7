"""Four processes that write to one database and are killed at random: no acknowledged row is lost.

`make endurance` kills real runs for 60 rounds; ENDURANCE_ROUNDS is the number of rounds.
"""

import json
import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter

import pytest
import writer
from timeouts import timeout_s

from linbench.store.store import Store

ROUNDS = int(os.environ.get("ENDURANCE_ROUNDS", "1"))
WRITER_ROUNDS = max(5, ROUNDS)
ARGUMENTS = [
    "--T", "16..512", "--H", "1,2", "--D", "16", "--mode", "fwd,decode", "--impl",
    "linear/chunk,softmax/naive", "--once",
    "--processes", "1", "--device", "cpu", "--no-report", "--format", "json",
]  # fmt: skip
PROCESSES = 4
ROWS = 6 * 2 * 2 * 2
ROWS_PER_CASE = 2


def test_writers_killed_at_any_moment_lose_nothing(tmp_path):
    chance = random.Random(7)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["writer"])
    acknowledged = {}
    for number in range(WRITER_ROUNDS):
        path = str(tmp_path / f"{number // 5}.db")  # writers are also killed while they create a database
        acknowledged_now = write_and_kill(processes, path, chance)
        store = Store(path, write=True)
        assert store.problems() == [], f"round {number}"
        ids = {summary.id for summary in store.summaries()}
        assert acknowledged_now.keys() <= ids
        for run in ids - acknowledged.keys():
            lengths = [row.case.T for row in store.run(run).measurements]
            cases = len(lengths) // len(writer.NAMES)
            assert Counter(lengths) == dict.fromkeys(range(1, cases + 1), len(writer.NAMES))
            at_least = acknowledged_now.get(run, 0)
            assert at_least <= cases <= at_least + 1  # the last case may be stored and not acknowledged
            acknowledged[run] = cases
        if acknowledged_now:
            run = chance.choice(sorted(acknowledged_now))
            acknowledged[run] += 1
            store.append(run, writer.rows(acknowledged[run]))
    row_counts = Counter()
    for path in sorted(tmp_path.glob("*.db")):
        store = Store(str(path))
        row_counts.update({summary.id: summary.statuses.get("ok", 0) for summary in store.summaries()})
    assert row_counts == {run: cases * len(writer.NAMES) for run, cases in acknowledged.items()}
    assert row_counts.total() > WRITER_ROUNDS
    print(f"{WRITER_ROUNDS} rounds, {len(row_counts)} runs, {row_counts.total()} rows acknowledged, 0 lost")


def write_and_kill(processes, path, chance):
    """Return the number of cases that each of four writers had acknowledged when it was killed, by run.

    The first writer is killed while it starts, the others at a random time after their first acknowledgement.
    """
    writers = []
    for _ in range(PROCESSES):
        receiver, sender = processes.Pipe(duplex=False)
        process = processes.Process(target=writer.write, args=(path, sender))
        process.start()
        sender.close()
        writers.append((process, receiver))
    time.sleep(chance.uniform(0.0, 0.1))
    writers[0][0].kill()
    for _, receiver in writers[1:]:
        assert receiver.poll(timeout_s(120)), "a writer did not begin"
    for process, _ in chance.sample(writers[1:], PROCESSES - 1):
        time.sleep(chance.uniform(0.0, 0.04))
        process.kill()
    cases_by_run = {}
    for process, receiver in writers:
        process.join()
        assert process.exitcode == -signal.SIGKILL
        with receiver:
            cases_by_run |= dict(receive_all(receiver))
    return cases_by_run


def receive_all(pipe):
    """Yield the messages that were sent before the sender died."""
    while True:
        try:
            yield pipe.recv()
        except EOFError:
            return


@pytest.mark.timeout(timeout_s(120 + 180 * ROUNDS))
def test_runs_killed_at_any_moment_lose_nothing(linbench):
    chance = random.Random(11)
    total = 0
    for number in range(ROUNDS):
        before = run_ids(linbench)
        waits = [start_and_kill(linbench, chance) for _ in range(PROCESSES)]
        printed_rows = [row for wait in waits for row in wait()]
        total += len(printed_rows)
        stdout, _ = linbench("db", "check", "--db", "x.db")
        assert "no problems" in stdout
        store = Store(str(linbench.folder / "x.db"))
        stored_rows = {run: store.run(run).measurements for run in run_ids(linbench) - before}
        for row in printed_rows:
            keys = {(stored_row.implementation, stored_row.case.id) for stored_row in stored_rows[row["run"]]}
            assert (row["implementation"], row["case_id"]) in keys, f"round {number}"
        for rows in stored_rows.values():
            assert set(Counter(row.case.id for row in rows).values()) <= {ROWS_PER_CASE}
        run = chance.choice(sorted(stored_rows))
        arguments = ("--resume", run, "--db", "x.db", "--no-report", "--format", "json")
        stdout, _ = linbench("run", *arguments)
        assert len(stored_rows[run]) + len(stdout.splitlines()) == ROWS == len(store.run(run).measurements)
        print(f"{number + 1} rounds, {total} rows acknowledged, 0 lost", flush=True)


def run_ids(linbench):
    path = linbench.folder / "x.db"
    return {run.id for run in Store(str(path)).summaries()} if path.exists() else set()


def start_and_kill(linbench, chance):
    """Start a run and kill it after some rows and a delay; return a function that waits for the rows."""
    after = chance.randrange(ROWS)
    delay_s = chance.uniform(0.0, 0.2 if after else 6.0)
    process = linbench.start("run", *ARGUMENTS, "--db", "x.db")
    rows = []

    def read_rows():
        if not after:
            timer.start()
        for line in process.stdout:
            rows.append(json.loads(line))
            if len(rows) == after:
                timer.start()

    def wait():
        thread.join(timeout_s(150))
        timer.join(timeout_s(10))
        assert not thread.is_alive(), "it was not killed"
        error = process.communicate()[1]
        assert "Traceback" not in error, error
        assert process.returncode in (0, -9), error
        return rows

    timer = threading.Timer(delay_s, process.kill)
    thread = threading.Thread(target=read_rows)
    thread.start()
    return wait
