"""Figures, tables and bundles as a user types them, on the rows of a real run."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from linbench.cli import _run

pytest.importorskip("matplotlib", reason="matplotlib is in the extra paper")
D_FILTER = ("--where", "D=8")


@pytest.fixture
def command(stored, monkeypatch, capsys):
    """The command line within this process; the recorded command is not that of the call."""
    monkeypatch.chdir(stored.folder)

    def run(*arguments, code=0):
        assert _run(list(arguments)) == code
        return capsys.readouterr()

    return run


def test_a_figure_is_written_with_its_data_and_its_record(stored):
    arguments = ("plot", stored.run, *D_FILTER, "--style", "icml", "--width", "column", "-o", "out/fig.pdf")
    out, _ = stored(*arguments)
    assert out == "out/fig.pdf, with out/fig.csv and out/fig.json\n"
    folder = stored.folder / "out"
    first = (folder / "fig.pdf").read_bytes()
    stored(*arguments)
    assert (folder / "fig.pdf").read_bytes() == first
    points = list(csv.DictReader((folder / "fig.csv").read_text().splitlines()))
    timed_points = [point for point in points if point["time_s"]]
    assert {point["implementation"] for point in timed_points} >= {"linear/chunk", "linear/naive"}
    for point in timed_points:
        assert float(point["time_s_low"]) <= float(point["time_s"]) <= float(point["time_s_high"])
    record = json.loads((folder / "fig.json").read_text())
    assert record["command"] == ["linbench", *arguments]
    assert [run["id"] for run in record["runs"]] == [stored.run]
    assert record["runs"][0]["command"][:2] == ["linbench", "run"]
    assert {"linbench", "matplotlib", "python"} <= set(record["versions"])
    assert record["chart"]["width_in"] == 3.25
    assert record["points"] == len(points)
    assert any("needs a CUDA device" in line for line in record["unsupported"])


def test_the_default_run_is_the_latest_and_json_names_the_files(command):
    out, _ = command("plot", "--facet", "D", "--y", "memory", "-o", "m.svg", "--format", "json")
    assert json.loads(out) == {"figure": "m.svg", "csv": "m.csv", "json": "m.json"}


def test_a_table_is_printed_or_written(stored, command):
    out, _ = command("table", *D_FILTER, "--y", "error")
    assert out.startswith("% Relative L2 error, by T (D = 8).")
    assert r"\toprule" in out
    assert "linear/chunk & " in out
    assert "unsupported" in out
    out, _ = command("table", *D_FILTER, "--style", "markdown", "-o", "t.md")
    assert out == "t.md, with t.csv and t.json\n"
    assert "| linear/chunk | " in (stored.folder / "t.md").read_text()
    assert json.loads((stored.folder / "t.json").read_text())["chart"]["style"] == "markdown"


def test_two_bundles_are_identical_and_their_script_plans_the_same_run(stored, command):
    for name in ("one", "two"):
        out, _ = command("paper", stored.run, "-o", name, "--style", "acl", "--width", "column")
        assert out.startswith(f"{name}: ")
    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (stored.folder / "one", stored.folder / "two")
    )
    assert first == second
    assert out == f"two: {len(first)} files of run {stored.run}\n"
    assert not list(stored.folder.glob(".two*"))
    search_path = f"{shim(stored.folder)}:{os.environ['PATH']}"
    dry_run = subprocess.run(
        ["sh", "one/rerun.sh", "--dry-run", "--format", "json"],
        cwd=stored.folder,
        capture_output=True,
        text=True,
        check=True,
        env=stored.environment | {"PATH": search_path},
    )
    rows = [json.loads(line) for line in command("show", stored.run, "--format", "json")[0].splitlines()]
    expected = {(row["implementation"], json.dumps(row["case"], sort_keys=True)) for row in rows}
    lines = [json.loads(line) for line in dry_run.stdout.splitlines()]
    assert {(line["implementation"], json.dumps(line["case"], sort_keys=True)) for line in lines} == expected


def shim(folder):
    """Return a folder that contains the command under test."""
    (folder / "bin").mkdir(exist_ok=True)
    path = folder / "bin" / "linbench"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m linbench "$@"\n')
    path.chmod(0o755)
    return path.parent


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_two_pgf_files_are_identical(stored, command):
    for name in ("a.pgf", "b.pgf"):
        command("plot", *D_FILTER, "-o", name)
    assert (stored.folder / "a.pgf").read_bytes() == (stored.folder / "b.pgf").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plot", "-o", "x.gif"), "-o x.gif: the name must end in one of .pdf, .svg, .pgf, .png"),
        (("plot", "-o", "x.pdf", "--style", "nips"), "unknown --style 'nips'; did you mean neurips?"),
        (("plot", "-o", "x.pdf", "--where", "mode"), "--where: 'mode': write COLUMN=VALUE[,VALUE]"),
        (("plot", "-o", "x.pdf"), "D is 8, 16 there; choose with --where D=8"),
        (("table", "--style", "latex"), "unknown --style 'latex'; known: booktabs, markdown"),
        (("table", *D_FILTER, "-o", "t.csv"), "-o t.csv: the data goes to the .csv file; name a .tex or"),
        (("paper", "-o", "results"), "-o results: exists and is not an empty folder; name a new one"),
        (("paper", "-o", "p", "--baseline", "a/x"), "unknown --baseline 'a/x'; known: linear/chunk"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(stored, command, arguments, message):
    out, err = command(*arguments, code=2)
    assert message in err
    assert len(err.splitlines()) == 1
    assert out == ""
    assert not Path(stored.folder, "x.pdf").exists()
    assert not Path(stored.folder, "p").exists()


def test_a_configured_baseline_applies_to_speedups_only(stored, command):
    settings = stored.folder / "pyproject.toml"
    settings.write_text('[tool.linbench]\nbaseline = "softmax/flash"\n')
    try:
        assert "speed-up over" not in command("table", *D_FILTER)[0].lower()
        table, _ = command("table", *D_FILTER, "--y", "speedup")
        assert table.startswith("% Speed-up over softmax/flash, by T")
        _, err = command("table", *D_FILTER, "--baseline", "softmax/flash", code=2)
        assert err == "linbench: --baseline goes with --y speedup, not with --y time\n"
    finally:
        settings.unlink()


def test_a_path_that_cannot_be_written_is_reported(stored, command):
    (stored.folder / "folder.csv").mkdir(exist_ok=True)
    _, err = command("table", *D_FILTER, "-o", "folder.tex", code=2)
    assert err == "linbench: -o folder.tex: cannot be written: Is a directory\n"


def test_the_error_without_matplotlib_names_the_install_command(stored):
    code = (
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "from linbench.cli import _run\n"
        f"sys.exit(_run(['plot', *{D_FILTER!r}, '-o', 'x.pdf']))\n"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=stored.folder, capture_output=True, text=True)
    assert process.returncode == 2
    assert process.stderr == "linbench: figures need matplotlib; pip install 'linbench[paper]'\n"
