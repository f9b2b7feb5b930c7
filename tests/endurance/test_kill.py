"""Processes killed at any moment, four at once on one database: no acknowledged row is lost.

`make endurance` kills real runs for 60 rounds; ENDURANCE_ROUNDS says how many.
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
WORDS = [
    "--T", "16..512", "--H", "1,2", "--D", "16", "--mode", "fwd,decode", "--impl",
    "linear/chunk,softmax/naive", "--once",
    "--processes", "1", "--device", "cpu", "--no-report", "--format", "json",
]  # fmt: skip
PROCESSES = 4
ROWS = 6 * 2 * 2 * 2
A_CASE = 2


def test_writers_killed_at_any_moment_lose_nothing(tmp_path):
    chance = random.Random(7)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["writer"])
    acknowledged = {}
    for number in range(WRITER_ROUNDS):
        path = str(tmp_path / f"{number // 5}.db")  # each is made, too, while writers are killed
        said = write_and_kill(processes, path, chance)
        store = Store(path, write=True)
        assert store.problems() == [], f"round {number}"
        begun = {found.id for found in store.summaries()}
        assert said.keys() <= begun
        for run in begun - acknowledged.keys():
            kept = [row.case.T for row in store.run(run).measurements]
            cases = len(kept) // len(writer.NAMES)
            assert Counter(kept) == dict.fromkeys(range(1, cases + 1), len(writer.NAMES))
            assert said.get(run, 0) <= cases <= said.get(run, 0) + 1  # but the one in flight
            acknowledged[run] = cases
        if said:
            run = chance.choice(sorted(said))
            acknowledged[run] += 1
            store.append(run, writer.rows(acknowledged[run]))
    stored = Counter()
    for path in sorted(tmp_path.glob("*.db")):
        store = Store(str(path))
        stored.update({found.id: found.statuses.get("ok", 0) for found in store.summaries()})
    assert stored == {run: cases * len(writer.NAMES) for run, cases in acknowledged.items()}
    assert stored.total() > WRITER_ROUNDS
    print(f"{WRITER_ROUNDS} rounds, {len(stored)} runs, {stored.total()} rows acknowledged, 0 lost")


def write_and_kill(processes, path, chance):
    """Return how many cases each of four writers had named when it was killed, by run.

    The first is killed while it starts, the others at some time after they began.
    """
    writers = []
    for _ in range(PROCESSES):
        ours, theirs = processes.Pipe(duplex=False)
        process = processes.Process(target=writer.write, args=(path, theirs))
        process.start()
        theirs.close()
        writers.append((process, ours))
    time.sleep(chance.uniform(0.0, 0.1))
    writers[0][0].kill()
    for _, ours in writers[1:]:
        assert ours.poll(timeout_s(120)), "a writer did not begin"
    for process, _ in chance.sample(writers[1:], PROCESSES - 1):
        time.sleep(chance.uniform(0.0, 0.04))
        process.kill()
    said = {}
    for process, ours in writers:
        process.join()
        assert process.exitcode == -signal.SIGKILL
        with ours:
            said |= dict(received(ours))
    return said


def received(pipe):
    """Yield what was sent before the sender died."""
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
        before = begun(linbench)
        killed = [start_and_kill(linbench, chance) for _ in range(PROCESSES)]
        printed = [row for one in killed for row in one()]
        total += len(printed)
        out, _ = linbench("db", "check", "--db", "x.db")
        assert "no problems" in out
        store = Store(str(linbench.folder / "x.db"))
        stored = {run: store.run(run).measurements for run in begun(linbench) - before}
        for row in printed:
            kept = {(found.implementation, found.case.id) for found in stored[row["run"]]}
            assert (row["implementation"], row["case_id"]) in kept, f"round {number}"
        for found in stored.values():
            assert set(Counter(row.case.id for row in found).values()) <= {A_CASE}
        run = chance.choice(sorted(stored))
        words = ("--resume", run, "--db", "x.db", "--no-report", "--format", "json")
        out, _ = linbench("run", *words)
        assert len(stored[run]) + len(out.splitlines()) == ROWS == len(store.run(run).measurements)
        print(f"{number + 1} rounds, {total} rows acknowledged, 0 lost", flush=True)


def begun(linbench):
    path = linbench.folder / "x.db"
    return {run.id for run in Store(str(path)).summaries()} if path.exists() else set()


def start_and_kill(linbench, chance):
    """Start a run that is killed some time after it printed some rows; return what waits for these rows."""
    after = chance.randrange(ROWS)
    delay_s = chance.uniform(0.0, 0.2 if after else 6.0)
    process = linbench.start("run", *WORDS, "--db", "x.db")
    printed = []

    def read():
        if not after:
            timer.start()
        for line in process.stdout:
            printed.append(json.loads(line))
            if len(printed) == after:
                timer.start()

    def end():
        thread.join(timeout_s(150))
        timer.join(timeout_s(10))
        assert not thread.is_alive(), "it was not killed"
        error = process.communicate()[1]
        assert "Traceback" not in error, error
        assert process.returncode in (0, -9), error
        return printed

    timer = threading.Timer(delay_s, process.kill)
    thread = threading.Thread(target=read)
    thread.start()
    return end
