import json
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from synthetic import PLAN, realistic, row, run_of

import linbench.paper.bundle as bundle
from linbench.core.errors import UsageError
from linbench.core.grid import grid_names, load_grid
from linbench.core.measurement import Status
from linbench.core.plan import Settings
from linbench.paper.bundle import write_bundle
from linbench.paper.rerun import grid_toml, rerun_arguments, rerun_script

SMALL = run_of(row(name, cost * t, T=t, mode=mode) for name, cost in (("a/x", 1e-6), ("b/y", 2e-6))
               for t in (512, 1024) for mode in ("fwd", "decode"))  # fmt: skip


@pytest.fixture
def empty_figures(monkeypatch):
    """Make figures empty files, so that a test does not wait for matplotlib."""
    monkeypatch.setattr(bundle, "save_figure", lambda *arguments: arguments[-1].touch())


def bundle_files(run, folder, **kwargs):
    folder.mkdir()
    write_bundle(run, folder, "icml", "column", **kwargs)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_run_produces_the_same_bytes(tmp_path):
    rows = [row for row in SMALL.measurements if row.case.mode == "fwd"]
    first, second = (bundle_files(run_of(rows), tmp_path / name) for name in "ab")
    assert first == second
    assert first["figures/time.pdf"].startswith(b"%PDF")


@pytest.mark.usefixtures("empty_figures")
def test_every_file_is_present(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is in the extra parquet")
    charts = [f"{y}-{mode}" for mode in ("fwd", "decode") for y in ("time", "memory", "error", "speedup")]
    charts.append("throughput-decode")
    assert set(bundle_files(SMALL, tmp_path / "a")) == {
        *(f"figures/{name}.{form}" for name in charts for form in ("pdf", "csv", "json")),
        *(f"tables/{name}.{form}" for name in charts for form in ("tex", "md")),
        *(f"data/{name}.csv" for name in ("measurements", "crossovers", "scaling", "capacity")),
        *("data/measurements.parquet", "data/run.json", "methods.md", "methods.tex", "grid.toml", "rerun.sh"),
    }


@pytest.mark.usefixtures("empty_figures")
def test_every_row_is_in_the_data(tmp_path):
    run = run_of([*SMALL.measurements, row("c/z", status=Status.OOM, reason="full, and more")])
    bundle_files(run, tmp_path / "a")
    table = pd.read_csv(tmp_path / "a" / "data" / "measurements.csv")
    assert len(table) == len(run.measurements)
    assert table["reason"].iloc[-1] == "full, and more"


@pytest.mark.usefixtures("empty_figures")
def test_a_run_without_rows_and_an_unknown_baseline_are_rejected(tmp_path):
    with pytest.raises(UsageError, match="has no rows"):
        bundle_files(run_of([]), tmp_path / "a")
    with pytest.raises(UsageError, match=r"unknown --baseline 'c/z'; known: a/x, b/y"):
        bundle_files(SMALL, tmp_path / "b", baseline="c/z")
    assert not list((tmp_path / "b").iterdir())


@pytest.mark.usefixtures("empty_figures")
def test_without_a_time_of_the_baseline_there_is_no_speedup(tmp_path):
    rows = [row for row in SMALL.measurements if (row.implementation, row.case.mode) != ("b/y", "decode")]
    rows += [replace(row, implementation="c/z") for row in rows if row.implementation == "a/x"]
    files = bundle_files(run_of(rows), tmp_path / "a", baseline="b/y")
    assert "figures/speedup-fwd.pdf" in files
    assert "figures/speedup-decode.pdf" not in files


@pytest.mark.usefixtures("empty_figures")
def test_axes_beyond_the_panels_of_one_figure_become_separate_figures(tmp_path):
    rows = [
        row("a/x", T=t, B=b, H=h, K=k, V=k) for t in (1, 2) for b in (1, 2) for h in (1, 2) for k in (8, 16)
    ]
    names = {name for name in bundle_files(run_of(rows), tmp_path / "a") if name.startswith("figures/time")}
    assert names == {f"figures/time-{b}.{form}" for b in (1, 2) for form in ("pdf", "csv", "json")}


@pytest.mark.usefixtures("empty_figures")
def test_more_series_than_one_figure_can_distinguish_are_split_by_operator(tmp_path):
    names = [*(f"a/{n:02}" for n in range(12)), "b/x", "b/y"]
    rows = [row(name, 1e-3, T=t) for name in names for t in (1, 2)]
    rows += [row("a/cuda", T=1, status=Status.UNSUPPORTED), row("c/cuda", T=1, status=Status.UNSUPPORTED)]
    files = bundle_files(run_of(rows), tmp_path / "a", baseline="a/03")
    parts = ("a", "a-2", "b")
    names_of = {f"{y}-{part}" for y in ("time", "memory", "error", "speedup") for part in parts}
    for folder, form in (("figures", "pdf"), ("tables", "tex"), ("tables", "md")):
        stems = {Path(name).stem for name in files if name.startswith(folder) and name.endswith(form)}
        assert stems == names_of

    def implementations(name):
        table = pd.read_csv(tmp_path / "a" / "figures" / f"{name}.csv")
        return list(dict.fromkeys(table["implementation"]))

    assert [implementations(f"time-{part}") for part in parts] == [
        names[:10], [*names[10:12], "a/cuda"], names[12:],
    ]  # fmt: skip
    assert implementations("speedup-b") == ["a/03", "b/x", "b/y"]
    assert implementations("speedup-a-2") == ["a/03", "a/10", "a/11", "a/cuda"]
    assert "implementation=b/x,b/y" in json.loads(files["figures/time-b.json"])["command"]
    assert b"a/cuda & unsupported" in files["tables/time-a-2.tex"]


@pytest.mark.usefixtures("empty_figures")
def test_a_run_over_heads_has_heads_on_its_x_axis(tmp_path):
    bundle_files(run_of([row("a/x", H=h) for h in (1, 2, 4)]), tmp_path / "a")
    assert '"x": "H"' in (tmp_path / "a" / "figures" / "time.json").read_text()


@pytest.mark.parametrize("name", grid_names())
def test_a_grid_survives_a_round_trip_through_its_file(tmp_path, name):
    grid = load_grid(name)
    (tmp_path / "grid.toml").write_text(grid_toml(run_of([], plan=replace(PLAN, grid=grid))))
    loaded = load_grid(str(tmp_path / "grid.toml"))
    for device in ("cpu", "cuda"):
        assert loaded.cases(device) == grid.cases(device)


def test_the_script_repeats_the_selection_and_the_settings():
    settings = Settings("cpu", False, 2, 0.005, 0.2, 0.4, 30, 1e-3, 2**30)
    arguments = rerun_arguments(run_of([], plan=replace(PLAN, settings=settings, plugins=("/x/mine.py",))))
    assert arguments == shlex.split(
        "linbench run --grid grid.toml --impl linear/chunk,softmax/flash --device cpu --plugin /x/mine.py "
        "--timer cpu --processes 2 --precision 0.5% --min-time 0.2s --max-time 0.4s --samples 30 "
        "--timeout 0.001s --max-memory 1073741824"
    )


def test_the_shell_evaluates_no_argument_of_a_command(tmp_path):
    hostile = "a\ntouch pwned\r$(touch pwned)'; touch pwned; `touch pwned`\u2028touch pwned"
    plan = replace(PLAN, command=("linbench", hostile), plugins=(hostile,), implementations=(hostile,))
    script = tmp_path / "it's $HOME" / "rerun.sh"
    script.parent.mkdir()
    script.write_text(rerun_script(run_of([], plan=plan)), encoding="utf-8")
    fake = tmp_path / "bin" / "linbench"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\npwd > where\nprintf '%s\\0' \"$@\" > arguments\n")
    fake.chmod(0o755)
    path = f"{fake.parent}:/usr/bin:/bin"
    subprocess.run(["sh", str(script), "--dry-run"], cwd=tmp_path, env={"PATH": path}, check=True)
    assert not list(tmp_path.rglob("pwned"))
    arguments = (script.parent / "arguments").read_bytes().decode().split("\0")[:-1]
    assert arguments == [*rerun_arguments(run_of([], plan=plan))[1:], "--dry-run"]


@pytest.mark.usefixtures("empty_figures")
def test_every_status_is_written(tmp_path):
    run = realistic()
    fwd = replace(run, measurements=tuple(row for row in run.measurements if row.case.mode == "fwd_bwd"))
    files = bundle_files(fwd, tmp_path / "a")
    assert b"OOM" in files["tables/time.tex"]
    assert b"timeout" in files["tables/time.md"]
