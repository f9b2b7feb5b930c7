"""The command line with a stand-in for its workers, and a small disk."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from timeouts import timeout_s

from linbench.store.exchange.jsonl import json_row
from linbench.store.store import Store

GRID = ["--T", "16,32,64,128,256", "--H", "1", "--D", "16", "--mode", "fwd", "--device", "cpu"]
WORDS = [*GRID, "--impl", "linear/chunk,softmax/naive", "--no-report", "--format", "json"]
ROWS = 10
A_CASE = 2


class Paced:
    """`linbench` that measures a case when it is told to; see paced.py."""

    def __init__(self, linbench):
        self.folder = linbench.folder
        self._linbench = linbench
        linbench.program = (str(Path(__file__).with_name("paced.py")),)
        linbench.stdin = subprocess.PIPE

    def __call__(self, *words, **extra):
        return self._linbench.process(*words, **extra)

    def start(self, db, **extra):
        """Start a run and return it with the rows of its first two cases, which are stored."""
        process = self._linbench.start("run", *WORDS, "--db", db, **extra)
        return process, [row for _ in range(2) for row in self.step(process)]

    def step(self, process):
        """Have a case measured, and return the lines that it printed."""
        process.stdin.write("\n")
        process.stdin.flush()
        return [process.stdout.readline() for _ in range(A_CASE)]

    def stopped(self, process, db, said):
        """Check that a run stopped cleanly at its next case; return its id."""
        out, error = process.communicate("\n", timeout=timeout_s(200))
        assert (process.returncode, out) == (5, ""), error
        *_, resume, reason = error.splitlines()
        assert said in reason, error
        assert str(db) in reason
        assert "Traceback" not in error
        run = error.split()[1].rstrip(":")
        command = f"linbench run --resume {run} --db {db}"
        assert resume == f"run {run} in {db} is not finished; resume it with: {command}"
        return run

    def resumed(self, db, run, printed):
        """Check that a run goes on to its end with what it had printed, and that the database is whole."""
        out, _ = self("run", "--resume", run, "--db", db, "--no-report", "--format", "json")
        path = self.folder / db
        store = Store(str(path))
        stored = [json.dumps(json_row(row, run)) for row in store.run(run).measurements]
        assert len(stored) == ROWS
        assert stored == [*map(str.rstrip, printed), *out.splitlines()]
        assert path.with_name(f"{run}.jsonl").read_text().splitlines()[1:] == stored
        assert store.problems() == []


@pytest.fixture
def paced(linbench):
    return Paced(linbench)


@pytest.fixture
def disk(tmp_path):
    """A folder that is a file system of 1 MiB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", mount]).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield mount
    subprocess.run(["umount", "-l", mount], check=True)
