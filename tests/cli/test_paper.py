"""Figures, tables and bundles as a user types them, on what a real run stored."""

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
EIGHT = ("--where", "D=8")


@pytest.fixture
def typed(stored, monkeypatch, capsys):
    """The command line without a process of its own, where what was typed is not at issue."""
    monkeypatch.chdir(stored.folder)

    def run(*words, code=0):
        assert _run(list(words)) == code
        return capsys.readouterr()

    return run


def test_a_figure_has_its_data_and_its_record_beside_it(stored):
    words = ("plot", stored.run, *EIGHT, "--style", "icml", "--width", "column", "-o", "out/fig.pdf")
    out, _ = stored(*words)
    assert out == "out/fig.pdf, with out/fig.csv and out/fig.json\n"
    folder = stored.folder / "out"
    first = (folder / "fig.pdf").read_bytes()
    stored(*words)
    assert (folder / "fig.pdf").read_bytes() == first
    points = list(csv.DictReader((folder / "fig.csv").read_text().splitlines()))
    timed = [point for point in points if point["time_s"]]
    assert {point["implementation"] for point in timed} >= {"linear/chunk", "linear/naive"}
    assert all(float(one["time_s_low"]) <= float(one["time_s"]) <= float(one["time_s_high"]) for one in timed)
    made = json.loads((folder / "fig.json").read_text())
    assert made["command"] == ["linbench", *words]
    assert [run["id"] for run in made["runs"]] == [stored.run]
    assert made["runs"][0]["command"][:2] == ["linbench", "run"]
    assert {"linbench", "matplotlib", "python"} <= set(made["versions"])
    assert made["chart"]["width_in"] == 3.25
    assert made["points"] == len(points)
    assert any("needs a CUDA device" in line for line in made["unsupported"])


def test_the_latest_run_is_taken_where_none_is_named_and_json_names_the_files(typed):
    out, _ = typed("plot", "--facet", "D", "--y", "memory", "-o", "m.svg", "--format", "json")
    assert json.loads(out) == {"figure": "m.svg", "csv": "m.csv", "json": "m.json"}


def test_a_table_is_printed_or_written(stored, typed):
    out, _ = typed("table", *EIGHT, "--y", "error")
    assert out.startswith("% Relative L2 error, by T (D = 8).")
    assert r"\toprule" in out
    assert "linear/chunk & " in out
    assert "unsupported" in out
    said, _ = typed("table", *EIGHT, "--style", "markdown", "-o", "t.md")
    assert said == "t.md, with t.csv and t.json\n"
    assert "| linear/chunk | " in (stored.folder / "t.md").read_text()
    assert json.loads((stored.folder / "t.json").read_text())["chart"]["style"] == "markdown"


def test_a_bundle_is_the_same_twice_and_its_script_plans_the_same_run(stored, typed):
    for name in ("one", "two"):
        out, _ = typed("paper", stored.run, "-o", name, "--style", "acl", "--width", "column")
        assert out.startswith(f"{name}: ")
    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (stored.folder / "one", stored.folder / "two")
    )
    assert first == second
    assert out == f"two: {len(first)} files of run {stored.run}\n"
    assert not list(stored.folder.glob(".two*"))
    found = f"{shim(stored.folder)}:{os.environ['PATH']}"
    planned = subprocess.run(
        ["sh", "one/rerun.sh", "--dry-run", "--format", "json"],
        cwd=stored.folder,
        capture_output=True,
        text=True,
        check=True,
        env=stored.environment | {"PATH": found},
    )
    shown = [json.loads(line) for line in typed("show", stored.run, "--format", "json")[0].splitlines()]
    expected = {(row["implementation"], json.dumps(row["case"], sort_keys=True)) for row in shown}
    lines = [json.loads(line) for line in planned.stdout.splitlines()]
    assert {(line["implementation"], json.dumps(line["case"], sort_keys=True)) for line in lines} == expected


def shim(folder):
    """A folder with the command under test in it."""
    (folder / "bin").mkdir(exist_ok=True)
    path = folder / "bin" / "linbench"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m linbench "$@"\n')
    path.chmod(0o755)
    return path.parent


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_a_pgf_is_written_the_same_twice(stored, typed):
    for name in ("a.pgf", "b.pgf"):
        typed("plot", *EIGHT, "-o", name)
    assert (stored.folder / "a.pgf").read_bytes() == (stored.folder / "b.pgf").read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plot", "-o", "x.gif"), "-o x.gif: the name must end in one of .pdf, .svg, .pgf, .png"),
        (("plot", "-o", "x.pdf", "--style", "nips"), "unknown --style 'nips'; did you mean neurips?"),
        (("plot", "-o", "x.pdf", "--where", "mode"), "--where: 'mode': write COLUMN=VALUE[,VALUE]"),
        (("plot", "-o", "x.pdf"), "D is 8, 16 there; choose with --where D=8"),
        (("table", "--style", "latex"), "unknown --style 'latex'; known: booktabs, markdown"),
        (("table", *EIGHT, "-o", "t.csv"), "-o t.csv: its data goes to .csv files; name a .tex or .md"),
        (("paper", "-o", "results"), "-o results: is there and not an empty folder; name a new one"),
        (("paper", "-o", "p", "--baseline", "a/x"), "unknown --baseline 'a/x'; known: linear/chunk"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(stored, typed, words, said):
    out, err = typed(*words, code=2)
    assert said in err
    assert len(err.splitlines()) == 1
    assert out == ""
    assert not Path(stored.folder, "x.pdf").exists()
    assert not Path(stored.folder, "p").exists()


def test_a_configured_baseline_is_for_speedups_only(stored, typed):
    settings = stored.folder / "pyproject.toml"
    settings.write_text('[tool.linbench]\nbaseline = "softmax/flash"\n')
    try:
        assert "speed-up over" not in typed("table", *EIGHT)[0].lower()
        assert typed("table", *EIGHT, "--y", "speedup")[0].startswith("% Speed-up over softmax/flash, by T")
        said = typed("table", *EIGHT, "--baseline", "softmax/flash", code=2)[1]
        assert said == "linbench: --baseline goes with --y speedup, not with --y time\n"
    finally:
        settings.unlink()


def test_a_place_that_cannot_be_written_is_named(stored, typed):
    (stored.folder / "taken.csv").mkdir(exist_ok=True)
    _, err = typed("table", *EIGHT, "-o", "taken.tex", code=2)
    assert err == "linbench: -o taken.tex: cannot be written: Is a directory\n"


def test_without_matplotlib_it_says_what_to_type(stored):
    code = (
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "from linbench.cli import _run\n"
        f"sys.exit(_run(['plot', *{EIGHT!r}, '-o', 'x.pdf']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=stored.folder, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "linbench: figures need matplotlib; pip install 'linbench[paper]'\n"
