"""The command line with a fake runner, and a small disk."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from timeouts import timeout_s

from linbench.store.exchange.jsonl import json_row
from linbench.store.store import Store

GRID = ["--T", "16,32,64,128,256", "--H", "1", "--D", "16", "--mode", "fwd", "--device", "cpu"]
ARGUMENTS = [*GRID, "--impl", "linear/chunk,softmax/naive", "--no-report", "--format", "json"]
ROWS = 10
ROWS_PER_CASE = 2


class Paced:
    """`linbench` that measures one case per line on its stdin; see paced.py."""

    def __init__(self, linbench):
        self.folder = linbench.folder
        self._linbench = linbench
        linbench.program = (str(Path(__file__).with_name("paced.py")),)
        linbench.stdin = subprocess.PIPE

    def __call__(self, *arguments, **extra):
        return self._linbench.process(*arguments, **extra)

    def start(self, db, **extra):
        """Start a run; return its process, and the stored rows of its first two cases."""
        process = self._linbench.start("run", *ARGUMENTS, "--db", db, **extra)
        return process, [row for _ in range(2) for row in self.step(process)]

    def step(self, process):
        """Measure one case, and return the printed lines."""
        process.stdin.write("\n")
        process.stdin.flush()
        return [process.stdout.readline() for _ in range(ROWS_PER_CASE)]

    def assert_stops(self, process, db, message):
        """Check that a run stops cleanly at its next case with this message; return its id."""
        stdout, error = process.communicate("\n", timeout=timeout_s(200))
        assert (process.returncode, stdout) == (5, ""), error
        *_, resume, reason = error.splitlines()
        assert message in reason, error
        assert str(db) in reason
        assert "Traceback" not in error
        run = error.split()[1].rstrip(":")
        command = f"linbench run --resume {run} --db {db}"
        assert resume == f"run {run} in {db} is not finished; resume it with: {command}"
        return run

    def assert_resumes(self, db, run, lines):
        """Check that a run resumes after its printed lines and completes, and that the database is sound."""
        stdout, _ = self("run", "--resume", run, "--db", db, "--no-report", "--format", "json")
        path = self.folder / db
        store = Store(str(path))
        rows = [json.dumps(json_row(row, run)) for row in store.run(run).measurements]
        assert len(rows) == ROWS
        assert rows == [*map(str.rstrip, lines), *stdout.splitlines()]
        assert path.with_name(f"{run}.jsonl").read_text().splitlines()[1:] == rows
        assert store.problems() == []


@pytest.fixture
def paced(linbench):
    return Paced(linbench)


@pytest.fixture
def disk(tmp_path):
    """A folder with its own file system of 1 MiB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", mount]).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield mount
    subprocess.run(["umount", "-l", mount], check=True)
