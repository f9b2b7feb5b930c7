"""docs/guides/add-a-column.md, followed to the letter on a copy of linbench."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from timeouts import timeout_s

import linbench

PACKAGE = Path(linbench.__file__).parent
TEXT = (PACKAGE.parent / "docs/guides/add-a-column.md").read_text(encoding="utf-8")
CHANGES = re.findall(r"^```diff\n--- a/(\S+)\n\+\+\+ b/\1\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A copy of linbench with every change of the page; yields what runs its commands."""
    folder = tmp_path_factory.mktemp("changed")
    shutil.copytree(PACKAGE, folder / "linbench", ignore=shutil.ignore_patterns("__pycache__"))
    for name, hunks in CHANGES:
        file = folder / name
        text = file.read_text(encoding="utf-8")
        for hunk in re.split(r"^@@.*@@\n", hunks, flags=re.MULTILINE)[1:]:
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if not line.startswith("+"))
            assert text.count(before) == 1, (name, before)
            text = text.replace(before, "".join(line[1:] for line in lines if not line.startswith("-")))
        file.write_text(text, encoding="utf-8")

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])},
            capture_output=True,
            text=True,
            check=True,
            timeout=timeout_s(120),
        ).stdout

    run.folder = folder
    words = (
        "--T",
        "64",
        "--H",
        "1",
        "--D",
        "16",
        "--impl",
        "linear/chunk",
        "--mode",
        "fwd",
        "--device",
        "cpu",
    )
    run("linbench", "run", *words, "--min-time", "5ms", "--processes", "1", "--no-report")
    return run


def test_a_column_touches_two_files_and_a_channel_two():
    files = [name for name, _ in CHANGES]
    assert files == [
        *("linbench/core/measurement.py", "linbench/execution/trial.py"),
        *("linbench/core/samples.py", "linbench/measure/timers.py"),
    ]


def test_the_column_is_in_rows_store_files_and_schema(changed):
    row = json.loads(changed("linbench", "show", "latest", "--format", "json"))
    assert row["spent_s"] > 0
    store = sqlite3.connect(changed.folder / "results/linbench.db")
    assert store.execute("SELECT spent_s FROM measurements").fetchone() == (row["spent_s"],)
    changed("linbench", "export", "latest", "--to", "csv", "-o", "rows.csv")
    head, *_ = (changed.folder / "rows.csv").read_text().splitlines()
    assert "spent_s" in head.split(",")
    schema = json.loads(changed("linbench.store.exchange.jsonl"))
    assert "spent_s" in schema["$defs"]["RowLine"]["properties"]


def test_the_channel_comes_from_the_timer_through_the_store_to_a_file(changed):
    changed("linbench", "export", "latest", "--to", "jsonl", "-o", "run.jsonl")
    _, line = (changed.folder / "run.jsonl").read_text().splitlines()
    samples = json.loads(line)["samples"]
    assert len(samples["page_faults"]) == len(samples["time_s"]) > 0
    changed("linbench", "import", "run.jsonl", "--db", "other.db")
    other = sqlite3.connect(changed.folder / "other.db")
    (blob,) = other.execute("SELECT page_faults FROM samples").fetchone()
    assert len(blob) == 4 * len(samples["time_s"])


def test_a_store_of_before_is_refused_and_names_the_column(changed, tmp_path):
    from linbench.store.store import Store

    Store(str(tmp_path / "before.db"), write=True)
    done = subprocess.run(
        [sys.executable, "-m", "linbench", "list", "runs", "--db", str(tmp_path / "before.db")],
        cwd=changed.folder, capture_output=True, text=True, timeout=timeout_s(60),
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(changed.folder), *filter(None, sys.path)])},
    )  # fmt: skip
    assert done.returncode == 5
    assert "with other columns (spent_s)" in done.stderr
