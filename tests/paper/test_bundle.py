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
def undrawn(monkeypatch):
    """Figures are empty files, so that a test need not wait for matplotlib."""
    monkeypatch.setattr(bundle, "save_figure", lambda *given: given[-1].touch())


def written(run, folder, **kwargs):
    folder.mkdir()
    write_bundle(run, folder, "icml", "column", **kwargs)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_run_gives_the_same_bytes(tmp_path):
    rows = [one for one in SMALL.measurements if one.case.mode == "fwd"]
    first, second = (written(run_of(rows), tmp_path / name) for name in "ab")
    assert first == second
    assert first["figures/time.pdf"].startswith(b"%PDF")


@pytest.mark.usefixtures("undrawn")
def test_every_part_is_there(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is in the extra parquet")
    charts = [f"{y}-{mode}" for mode in ("fwd", "decode") for y in ("time", "memory", "error", "speedup")]
    charts.append("throughput-decode")
    assert set(written(SMALL, tmp_path / "a")) == {
        *(f"figures/{name}.{form}" for name in charts for form in ("pdf", "csv", "json")),
        *(f"tables/{name}.{form}" for name in charts for form in ("tex", "md")),
        *(f"data/{name}.csv" for name in ("measurements", "crossovers", "scaling", "capacity")),
        *("data/measurements.parquet", "data/run.json", "methods.md", "methods.tex", "grid.toml", "rerun.sh"),
    }


@pytest.mark.usefixtures("undrawn")
def test_every_row_is_in_the_data(tmp_path):
    run = run_of([*SMALL.measurements, row("c/z", status=Status.OOM, reason="full, and more")])
    written(run, tmp_path / "a")
    table = pd.read_csv(tmp_path / "a" / "data" / "measurements.csv")
    assert len(table) == len(run.measurements)
    assert table["reason"].iloc[-1] == "full, and more"


@pytest.mark.usefixtures("undrawn")
def test_a_run_without_rows_or_with_another_baseline_is_refused(tmp_path):
    with pytest.raises(UsageError, match="has no rows"):
        written(run_of([]), tmp_path / "a")
    with pytest.raises(UsageError, match=r"unknown --baseline 'c/z'; known: a/x, b/y"):
        written(SMALL, tmp_path / "b", baseline="c/z")
    assert not list((tmp_path / "b").iterdir())


@pytest.mark.usefixtures("undrawn")
def test_where_the_baseline_was_not_timed_there_is_no_speedup(tmp_path):
    rows = [one for one in SMALL.measurements if (one.implementation, one.case.mode) != ("b/y", "decode")]
    rows += [replace(one, implementation="c/z") for one in rows if one.implementation == "a/x"]
    found = written(run_of(rows), tmp_path / "a", baseline="b/y")
    assert "figures/speedup-fwd.pdf" in found
    assert "figures/speedup-decode.pdf" not in found


@pytest.mark.usefixtures("undrawn")
def test_axes_that_one_figure_cannot_hold_are_figures_apart(tmp_path):
    rows = [
        row("a/x", T=t, B=b, H=h, K=k, V=k) for t in (1, 2) for b in (1, 2) for h in (1, 2) for k in (8, 16)
    ]
    names = {name for name in written(run_of(rows), tmp_path / "a") if name.startswith("figures/time")}
    assert names == {f"figures/time-{b}.{form}" for b in (1, 2) for form in ("pdf", "csv", "json")}


@pytest.mark.usefixtures("undrawn")
def test_more_series_than_a_figure_can_tell_apart_are_figures_and_tables_by_operator(tmp_path):
    names = [*(f"a/{n:02}" for n in range(12)), "b/x", "b/y"]
    rows = [row(name, 1e-3, T=t) for name in names for t in (1, 2)]
    rows += [row("a/cuda", T=1, status=Status.UNSUPPORTED), row("c/cuda", T=1, status=Status.UNSUPPORTED)]
    found = written(run_of(rows), tmp_path / "a", baseline="a/03")
    parts = ("a", "a-2", "b")
    names_of = {f"{y}-{part}" for y in ("time", "memory", "error", "speedup") for part in parts}
    for folder, form in (("figures", "pdf"), ("tables", "tex"), ("tables", "md")):
        there = {Path(name).stem for name in found if name.startswith(folder) and name.endswith(form)}
        assert there == names_of

    def shown(name):
        table = pd.read_csv(tmp_path / "a" / "figures" / f"{name}.csv")
        return list(dict.fromkeys(table["implementation"]))

    assert [shown(f"time-{part}") for part in parts] == [
        names[:10], [*names[10:12], "a/cuda"], names[12:],
    ]  # fmt: skip
    assert shown("speedup-b") == ["a/03", "b/x", "b/y"]
    assert shown("speedup-a-2") == ["a/03", "a/10", "a/11", "a/cuda"]
    assert "implementation=b/x,b/y" in json.loads(found["figures/time-b.json"])["command"]
    assert b"a/cuda & unsupported" in found["tables/time-a-2.tex"]


@pytest.mark.usefixtures("undrawn")
def test_a_run_over_heads_has_heads_on_its_axis(tmp_path):
    written(run_of([row("a/x", H=h) for h in (1, 2, 4)]), tmp_path / "a")
    assert '"x": "H"' in (tmp_path / "a" / "figures" / "time.json").read_text()


@pytest.mark.parametrize("name", grid_names())
def test_a_grid_comes_back_from_its_file(tmp_path, name):
    grid = load_grid(name)
    (tmp_path / "grid.toml").write_text(grid_toml(run_of([], plan=replace(PLAN, grid=grid))))
    again = load_grid(str(tmp_path / "grid.toml"))
    for device in ("cpu", "cuda"):
        assert again.cases(device) == grid.cases(device)


def test_the_script_asks_for_the_selection_and_the_settings():
    settings = Settings("cpu", False, 2, 0.005, 0.2, 0.4, 30, 1e-3, 2**30)
    words = rerun_arguments(run_of([], plan=replace(PLAN, settings=settings, plugins=("/x/mine.py",))))
    assert words == shlex.split(
        "linbench run --grid grid.toml --impl linear/chunk,softmax/flash --device cpu --plugin /x/mine.py "
        "--timer cpu --processes 2 --precision 0.5% --min-time 0.2s --max-time 0.4s --samples 30 "
        "--timeout 0.001s --max-memory 1073741824"
    )


def test_no_word_of_a_command_is_run_by_the_shell(tmp_path):
    hostile = "a\ntouch pwned\r$(touch pwned)'; touch pwned; `touch pwned`\u2028touch pwned"
    plan = replace(PLAN, command=("linbench", hostile), plugins=(hostile,), implementations=(hostile,))
    script = tmp_path / "it's $HOME" / "rerun.sh"
    script.parent.mkdir()
    script.write_text(rerun_script(run_of([], plan=plan)), encoding="utf-8")
    fake = tmp_path / "bin" / "linbench"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\npwd > where\nprintf '%s\\0' \"$@\" > words\n")
    fake.chmod(0o755)
    path = f"{fake.parent}:/usr/bin:/bin"
    subprocess.run(["sh", str(script), "--dry-run"], cwd=tmp_path, env={"PATH": path}, check=True)
    assert not list(tmp_path.rglob("pwned"))
    given = (script.parent / "words").read_bytes().decode().split("\0")[:-1]
    assert given == [*rerun_arguments(run_of([], plan=plan))[1:], "--dry-run"]


@pytest.mark.usefixtures("undrawn")
def test_every_kind_of_ending_is_written(tmp_path):
    run = realistic()
    fwd = replace(run, measurements=tuple(one for one in run.measurements if one.case.mode == "fwd_bwd"))
    found = written(fwd, tmp_path / "a")
    assert b"OOM" in found["tables/time.tex"]
    assert b"timeout" in found["tables/time.md"]
